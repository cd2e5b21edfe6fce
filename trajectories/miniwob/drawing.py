"""Oracles of the tasks that are done by mouse on a drawing: dragging, drawing, sliding, pointing.

Not covered: what they are made of (`oracle.py`).
"""

from __future__ import annotations

from trajectories.miniwob.oracle import Family

FAMILIES: dict[str, Family] = {}
