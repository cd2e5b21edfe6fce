"""The local page that `shopfloor view` opens: what it shows (`app.py`, `marks.py`) and how it looks (`static/`)."""
