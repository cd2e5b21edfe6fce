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
from trajectories.lessons import unfit
from trajectories.store import Store


def clean(recorded: Path, kept: Path) -> dict[str, Any]:
    """Copy what is fit from the store at `recorded` into one at `kept`, which may hold some already."""
    source, target = Store(recorded), Store(kept)
    why: Counter[str] = Counter()
    known: set[tuple[str, str, tuple[str, ...]]] = set()
    for episode in source:
        told = (episode.suite, episode.goal, tuple(map(str, episode.actions)))
        reason = unfit(episode) or unjudged(episode) or ("told twice" if told in known else "")
        if reason:
            why[reason] += 1
            continue
        known.add(told)
        target.add(episode)
    why["damaged"] += len(source.broken)
    return {"store": str(kept), "digest": target.digest(), "kept": len(target), "left_out": dict(+why)}


def unjudged(episode: Episode) -> str:
    """Whether only the model's own reviewer says how an episode ended."""
    ours = episode.policy in ("team", "desktop", "replay")
    return "unjudged" if ours and episode.extra.get("checked_by") != "person" else ""
