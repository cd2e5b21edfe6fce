"""The team on a whole held-out task, as `shopfloor eval --policy team` measures it: an `eval.runner.Attempt`.

It works as in the chat, by the person's own `policy.toml` with its rails, and each task leaves a trace where
`trace` is set; but every approval is given, and nothing is remembered from one task to the next.

Not covered: which tasks, and the figures (`evaluate.py`, `eval/runner.py`).
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

from agents.clients import ROLES, Endpoint, endpoint_for
from agents.effort import Effort
from agents.job import Request
from agents.spans import Span, span
from agents.team import run_team
from apps.kept import ended
from eval.runner import Attempt
from tools import rails, rules, settings
from tools.environment import Environment
from tools.observation import Observation
from training.traces import TraceLost, write
from trajectories.episode import Episode, Step
from trajectories.tasks import Outcome, Task


def team(endpoint: Endpoint, label: str, effort: Effort) -> Attempt:
    """Coder, reviewer and actor at `endpoint`, or at their own where set. Raises SettingsError for a policy
    that can't be used."""
    endpoints = {role: endpoint_for(role, endpoint) for role in ROLES}
    policy = rules.load()
    rails.ready(policy)
    where = settings.load().trace
    writing = asyncio.Lock()  # tasks run side by side, their traces are written one after the other

    async def attempt(task: Task, env: Environment) -> Episode:
        started = datetime.now(UTC).isoformat()
        with span("task", task.id, model=label) as root:
            try:
                episode = await work(task, env, started)
            except Exception as error:  # whatever failed, the episode says so, as in a roll-out
                nothing = Observation(url="about:blank", title="", viewport=(1, 1))
                said = {"outcome": "error", "error": f"{type(error).__name__}: {error}"[:2000]}
                lost = Outcome(False)
                episode = Episode("", task.id, "", (), nothing, lost, "error", "team", label, started, said)
            root.came |= episode.extra | {"success": episode.outcome.success}
        if where is not None:
            async with writing:
                await _traced(where, root, episode)
        return episode

    async def work(task: Task, env: Environment, started: str) -> Episode:
        goal, look = await task.setup(env)
        done = await run_team(
            goal,
            env,
            look,
            endpoints,
            memory=None,
            on_event=lambda event: None,
            approve=yes,
            max_steps=task.max_steps,
            rules=policy,
            effort=effort,
            files=task.files,
        )
        outcome = await task.check(env, done.reason if done.outcome == "done" else None)
        return Episode(
            id="",
            task=task.id,
            goal=goal,
            steps=tuple(
                Step(seen, decision, by, round(seconds, 4))
                for (seen, decision, by), seconds in zip(done.steps, done.timings, strict=True)
            ),
            final=done.final,
            outcome=outcome,
            ended=ended(done, task.max_steps, "infeasible"),
            policy="team",
            model=label,
            started=started,
            extra={"outcome": done.outcome, "reason": done.reason}
            | ({"error": done.reason} if done.broken else {}),
        )

    return attempt


async def yes(request: Request) -> bool:
    """Every approval is given: what is measured is a task that the person wants."""
    return True


async def _traced(where: str, root: Span, episode: Episode) -> None:
    """Write a task's trace. One that is lost costs a line, and no figure."""
    tags = {"task": episode.task, "outcome": str(episode.extra["outcome"])}
    try:
        await asyncio.to_thread(write, root, where, "eval", masked=str, tags=tags)
    except TraceLost as error:
        print(f"shopfloor eval: trace of {episode.task} not kept: {error}", file=sys.stderr)
