"""Recorded episodes made fit to learn from: a store of those that are, and how many are not, and why.

Left out are: what is damaged on disk, what broke off, what has a held-out seed, what nobody but the model's
own reviewer judged (`shopfloor feedback` judges it), and what is told twice: one goal, the same actions.

Not covered: secrets, which never get into an episode (`tools/secrets.py`).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from trajectories.episode import Episode
from trajectories.store import Store
from trajectories.tasks import is_held_out


def clean(recorded: Path, kept: Path) -> dict[str, Any]:
    """Copy what is fit from the store at `recorded` into one at `kept`, which may hold some already."""
    source, target = Store(recorded), Store(kept)
    why: Counter[str] = Counter()
    known: set[tuple[str, str, tuple[str, ...]]] = set()
    for episode in source:
        told = (episode.suite, episode.goal, tuple(map(str, episode.actions)))
        if (reason := unfit(episode)) or (reason := "told twice" if told in known else ""):
            why[reason] += 1
            continue
        known.add(told)
        target.add(episode)
    why["damaged"] += len(source.broken)
    return {"store": str(kept), "digest": target.digest(), "kept": len(target), "left_out": dict(+why)}


def unfit(episode: Episode) -> str:
    """Why an episode is not to be learnt from; empty if it is. What a person judged is judged, however it
    ended."""
    if is_held_out(episode.seed):
        return "held out"
    if episode.extra.get("checked_by") == "person":
        return ""
    if episode.ended == "error":
        return "broke off"
    return "unjudged" if episode.policy in ("team", "desktop", "replay") else ""
