"""Running a program again: no coder, no reviewer, and a model only for a step that has to be healed.

Policy and approval hold as they do for the team: every step goes through `Job.do`.

Not covered: whether the page at the end shows what was wanted, which nobody looks at here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from agents.clients import ModelDown
from agents.job import Event, Job, Over, Request
from agents.policies import Decision, Policy
from agents.program import Program
from agents.team import TeamResult, result_of
from tools.actions import ActionError
from tools.environment import Environment, EnvironmentDown
from tools.guard import BUILT_IN
from tools.observation import Observation
from tools.rules import Rules


async def replay(
    goal: str,
    env: Environment,
    observation: Observation,
    *,
    program: Program,
    actor: Policy,
    on_event: Callable[[Event], None],
    approve: Callable[[Request], Awaitable[bool]],
    max_steps: int = 30,
    interrupt: asyncio.Event | None = None,
    earlier: Sequence[tuple[Observation, Decision, str]] = (),
    files: Path | None = None,
    work: Path | None = None,
    rules: Rules = BUILT_IN,
) -> TeamResult:
    """Run the program from this page. "done" means that every step was; all else is as for `run_team`."""
    began = time.monotonic()
    stop = interrupt or asyncio.Event()
    job = Job(
        goal,
        env,
        observation,
        actor,
        on_event,
        approve,
        max_steps,
        stop,
        rules,
        files,
        work,
        steps=[*earlier],
    )
    try:
        await job.begin()
        through = await job.run_program(program)
        over = Over("done", "every step of the program was done")
        if job.steps and job.steps[-1][1].action.name == "report_infeasible":
            over = Over("not done", f"the actor says it can't be done: {job.message}")
        elif not through:
            over = Over("not done", f"the actor ended it before the program's end: {job.message}")
    except Over as early:
        over = early
    except (ActionError, EnvironmentDown, ModelDown) as error:
        over = Over("not done", str(error), broken=not isinstance(error, ActionError))
    return result_of(job, over, began)
