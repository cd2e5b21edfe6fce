"""What a person says of an episode afterwards: their word stands above the reviewer's.

A yes makes it a demonstration for all roles; a no teaches the reviewer what it should not have taken for
done. What the person did themselves, having taken over, is in the episode's steps.

Not covered: asking the person (`apps/commands.py`, `apps/feedback.py`).
"""

from __future__ import annotations

from dataclasses import replace

from trajectories.episode import Episode
from trajectories.tasks import Outcome


def judged(episode: Episode, right: bool, author: str = "person") -> Episode:
    """The episode with that verdict; who gave it, and the one that was there, are kept beside it."""
    before = {"success": episode.outcome.success, "by": episode.extra.get("checked_by", "")}
    extra = {**episode.extra, "checked_by": author, "before": episode.extra.get("before", before)}
    ended = "done" if right else episode.ended
    if right:
        extra.pop("error", None)
    return replace(episode, outcome=Outcome(right, float(right)), ended=ended, extra=extra)
