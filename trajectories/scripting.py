"""A task done by the script that comes with it, run in the sandbox as a coder's would be: its oracle.

    steps, final, ended = await by_script(task, goal, look, env)

Every call is a step by "script", and the last is the word that it is done. Nothing is asked: the policy in
plain code refuses what it always refuses.

Not covered: writing a script (`agents/coder.py`), and the team around it (`agents/team.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agents.job import Job, Over, Request
from agents.policies import Decision
from agents.program import Script
from agents.script import run_script
from tools.actions import Action
from tools.environment import Environment
from tools.guard import BUILT_IN
from tools.observation import Observation
from trajectories.episode import Ended, Step
from trajectories.tasks import Task

DONE = Action("send_msg_to_user", ("done",))


class NoActor:
    """Where a script hands over a part, there is nobody here to do it."""

    name = "nobody"

    async def decide(self, goal: str, observation: Observation, history: Sequence[Action]) -> Decision:
        return Decision(Action("report_infeasible", ("there is no actor here",)))


async def by_script(
    task: Task, goal: str, look: Observation, env: Environment
) -> tuple[tuple[Step, ...], Observation, Ended, str]:
    """The steps, the last look, how it ended, and what went wrong, if anything.

    Raises SandboxMissing where no script can be run.
    """
    job = Job(
        goal, env, look, NoActor(), lambda event: None, _yes, task.max_steps, asyncio.Event(), BUILT_IN,
        files=task.files, program=Script(task.script),
    )  # fmt: skip
    ended: Ended = "done"
    try:
        wrong = await run_script(job, Script(task.script)) or ""
        ended = "infeasible" if wrong else "done"
    except Over as over:
        wrong, ended = over.reason, "budget"
    steps = [Step(*step, round(s, 4)) for step, s in zip(job.steps, job.timings, strict=True)]
    if ended == "done":
        steps.append(Step(job.observation, Decision(DONE), "script", 0.0))
    return tuple(steps), job.observation, ended, wrong


async def _yes(request: Request) -> bool:
    return True
