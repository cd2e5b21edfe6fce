"""Tasks on a Linux desktop, over real applications."""
