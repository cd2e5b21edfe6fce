"""Task files of our own for the LM Evaluation Harness, with their items (`eval/interface_items.py`)."""
