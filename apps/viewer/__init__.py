"""The local page that `shopfloor view` opens: what is shown (`app.py`, `marks.py`) and how (`static/`)."""
