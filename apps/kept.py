"""What a session keeps of a task: its episode, in the state folder's store.

Not covered: screenshots and files beside it (`session.py`), what a person says of it later (`feedback.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from agents.team import TeamResult
from tools import settings
from trajectories.episode import Ended, Episode, Step
from trajectories.store import Store
from trajectories.tasks import Outcome


def ended(result: TeamResult, max_steps: int, otherwise: Ended) -> Ended:
    """How an episode of the team's ended; `otherwise` where it was stopped before its end."""
    if result.outcome == "done":
        return "done"
    if result.broken:
        return "error"
    if result.steps and result.steps[-1][1].action.name == "report_infeasible":
        return "infeasible"
    return "budget" if len(result.steps) >= max_steps else otherwise


def keep(
    kind: Literal["chat", "replay"],
    ident: str,
    site: str,
    goal: str,
    result: TeamResult,
    timings: Sequence[float],
    *,
    model: str,
    started: str,
    max_steps: int,
) -> Path:
    """Write the episode; its folder. Its success is the reviewer's word, and says so; a replay's is that it
    ran. Raises StoreError."""
    checked = {"checked_by": "reviewer"} if kind == "chat" else {}
    extra: dict[str, Any] = {**checked, "outcome": result.outcome, "reason": result.reason}
    if result.files:
        extra["files"] = [path.name for path in result.files]
    if result.outcome != "done":
        extra["error"] = f"{result.outcome}: {result.reason}"
    pairs = zip(result.steps, timings, strict=True)
    steps = tuple(Step(look, decision, by, round(s, 4)) for (look, decision, by), s in pairs)
    episode = Episode(
        id=ident,
        task=f"{kind}/{site}/0",
        goal=goal,
        steps=steps,
        final=result.final,
        outcome=Outcome(result.outcome == "done"),
        ended=ended(result, max_steps, "error"),
        policy="team" if kind == "chat" else kind,
        model=model,
        started=started,
        extra=extra,
    )
    return Store(settings.home() / "episodes").add(episode)
