"""A Linux desktop on X11, part by part: its processes, its windows, what can be seen, what can be typed."""
