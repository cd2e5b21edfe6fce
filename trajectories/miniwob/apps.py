"""Oracles of the tasks that are little applications: mail, flights, a calendar, a shop, a terminal.

Not covered: what they are made of (`oracle.py`).
"""

from __future__ import annotations

from trajectories.miniwob.oracle import Family

FAMILIES: dict[str, Family] = {}
