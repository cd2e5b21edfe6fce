"""Running a policy on a task: one episode, or many at once, resumable.

Whatever goes wrong, policy or environment, ends as an episode that says so (`ended="error"`), never as a lost
run.

Not covered: which tasks to run and what is made of the episodes (`line.py`), statistics over them (`eval/`).
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agents.policies import Decision, Policy, RandomPolicy
from tools.actions import Action
from tools.environment import Environment, EnvironmentDown
from tools.observation import Observation
from trajectories.episode import Ended, Episode, Step
from trajectories.scripting import by_script
from trajectories.store import Store
from trajectories.suites import open_suite, open_workplace
from trajectories.tasks import Outcome, Suite, Task

PATIENCE = 120.0  # seconds one decision, step or check may take before the episode is given up


@dataclass(frozen=True)
class Job:
    """One episode to make. `reword` numbers the grammar's way of saying the goal, 0 as it stands;
    `goal` is a teacher's wording, used instead when the task's own goal is still `said`."""

    family: str
    seed: int
    perturb: int = 0
    reword: int = 0
    goal: str = ""
    said: str = ""


class OraclePolicy:
    """A task's own oracle as a policy."""

    name = "oracle"

    def __init__(self, task: Task) -> None:
        self._task = task

    async def decide(self, goal: str, observation: Observation, history: Sequence[Action]) -> Decision:
        action = self._task.oracle(observation, history)
        try:
            return Decision(observation.labelled(action))
        except KeyError:
            return Decision(action)  # what it wants is not on the page; the environment says so


def oracle_policy(task: Task) -> Policy:
    """The task's oracle as a policy."""
    return OraclePolicy(task)


def episode_id(task: str, policy: str, perturb: int = 0, variant: str = "") -> str:
    """The same for the same work, so that a run started again knows what it has done."""
    digest = hashlib.sha256("\0".join((task, policy, str(perturb), variant)).encode()).hexdigest()[:12]
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', task).strip('-')[:80]}-{digest}"


async def roll_out(
    task: Task,
    policy: Policy,
    env: Environment,
    *,
    perturb: int = 0,
    model: str = "",
    reword: Callable[[str], str] | None = None,
    id: str = "",
) -> Episode:
    """One episode of `policy` on `task`, after `perturb` random actions of which the policy knows nothing.

    `reword` says the goal otherwise; the check stays the task's. `extra` keeps the task's own goal and, as
    `better`, what the oracle would have done in place of a random action or of one that strays. A task that
    comes with a `script`, kept there too, is done by the oracle by running that.
    """
    started = datetime.now(UTC).isoformat()
    steps: list[Step] = []
    extra: dict[str, Any] = {"perturb": perturb}
    goal, look = "", Observation(url="about:blank", title="", viewport=(1, 1))
    outcome, ended = Outcome(False), "budget"
    message: str | None = None
    try:
        goal, look = await asyncio.wait_for(task.setup(env), PATIENCE)
        if reword is not None:
            extra["goal"], goal = goal, reword(goal)
        if task.script:
            extra["script"] = task.script
        if task.script and policy.name == "oracle":
            perturb = extra["perturb"] = 0  # a script begins where it was written for
            done, look, ended, wrong = await asyncio.wait_for(by_script(task, goal, look, env), PATIENCE)
            steps += done
            extra |= {"reason": wrong} if wrong else {}
            outcome = await asyncio.wait_for(task.check(env, "done" if ended == "done" else None), PATIENCE)
        chance = random.Random(f"{task.id}/{perturb}")
        strayer = RandomPolicy(chance.getrandbits(32))
        better: dict[str, str] = {}
        while len(steps) < task.max_steps + perturb and ended == "budget":
            begun = time.perf_counter()
            straying = len(steps) < perturb
            history = [step.decision.action for step in steps]
            if not straying or policy.name == "oracle":
                decision = await asyncio.wait_for(policy.decide(goal, look, history), PATIENCE)
            if straying:
                right = decision.action if policy.name == "oracle" else None
                decision = await strayer.decide(goal, look, history)
                action = Action("noop") if decision.action.final else decision.action
                decision = Decision(action, better=right)
            action = decision.action
            if decision.better is not None:
                better[str(len(steps))] = str(decision.better)
            if action.final and decision.valid:
                message = str(action.args[0]) if action.args else ""
                ended = "done" if action.name == "send_msg_to_user" else "infeasible"
                after = look  # telling the person changes nothing on the page
            else:
                after = await asyncio.wait_for(env.step(action), PATIENCE)
            seconds = round(time.perf_counter() - begun, 4)
            steps.append(Step(look, decision, "random" if straying else policy.name, seconds))
            look = after
            outcome = await asyncio.wait_for(task.check(env, message), PATIENCE)
            if outcome.over and ended == "budget":
                ended = "over"
        if better:
            extra["better"] = better
    except Exception as error:  # whatever failed, the episode says so
        ended, outcome = "error", Outcome(False)
        slow = isinstance(error, TimeoutError) and not str(error)  # `wait_for` says nothing more
        extra["error"] = f"{type(error).__name__}: {f'no answer in {PATIENCE:g} s' if slow else error}"[:2000]
    finish: Ended = ended  # type: ignore[assignment]
    return Episode(
        id=id or episode_id(task.id, policy.name, perturb, goal if reword else ""),
        task=task.id,
        goal=goal,
        steps=tuple(steps),
        final=look,
        outcome=outcome,
        ended=finish,
        policy=policy.name,
        model=model,
        started=started,
        extra=extra,
    )


async def roll_out_all(
    jobs: Iterable[Job],
    suite_name: str,
    make_policy: Callable[[Task], Policy],
    workers: int,
    store: Store,
    progress: Callable[[Episode | None, Job], None] | None = None,
    *,
    policy_name: str = "oracle",
    model: str = "",
    stop: Callable[[], bool] = lambda: False,
    open_: Callable[[str], Suite] = open_suite,
) -> dict[Job, str]:
    """Run all jobs with `workers` at once in one workplace and store every episode; returns each job's id.

    A job whose episode is stored already is not run again (`progress` gets None for it). Cancelling, or
    `stop()`, keeps what is finished. Raises EnvironmentDown if no environment can be had at all, StoreError
    if nothing can be written.
    """
    ids = job_ids(jobs, suite_name, policy_name)
    waiting = not_stored(ids, store, progress)
    if not waiting:
        return ids
    queue = iter(waiting)

    async with open_workplace(suite_name) as workplace:

        async def worker() -> None:
            async with open_(suite_name) as suite:
                env = workplace.environment()
                try:
                    for job in queue:  # one iterator for all workers: each job is taken once
                        if stop():
                            return
                        episode = await do(job, ids[job], suite, env, make_policy, model)
                        await asyncio.to_thread(store.add, episode)
                        if progress:
                            progress(episode, job)
                finally:
                    await env.close()

        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, min(workers, len(waiting)))):
                group.create_task(worker())
    return {job: id for job, id in ids.items() if id in store}


def not_stored(
    ids: dict[Job, str], store: Store, progress: Callable[[Episode | None, Job], None] | None
) -> list[Job]:
    """The jobs still to be done, family by family; `progress` gets None for each of the others."""
    there = set(store.ids())
    for job, id in ids.items():
        if id in there and progress:
            progress(None, job)
    # A family's one after the other: where its page stays, it need not be loaded anew for each.
    return sorted((job for job, id in ids.items() if id not in there), key=lambda job: job.family)


def discard_unfinished(store: Store, ids: Iterable[str]) -> dict[str, str]:
    """Remove those stored episodes that are broken, or failed for want of a working part, so that they are
    made anew; returns why, by id."""
    why = {id: _unfinished(store, id) for id in ids if id in store}
    for id in (gone := {id: reason for id, reason in why.items() if reason}):
        shutil.rmtree(store.path / id)
    return gone


def _unfinished(store: Store, id: str) -> str:
    if (why := store.fault(id)) is not None:
        return why
    episode = store.load(id)
    return str(episode.extra.get("error", "it failed")) if episode.ended == "error" else ""


async def do(
    job: Job,
    id: str,
    suite: Suite,
    env: Environment,
    make_policy: Callable[[Task], Policy],
    model: str = "",
) -> Episode:
    """A job's episode. One that failed is tried once more, from an environment that was closed."""
    for last in (False, True):
        task = suite.task(job.family, job.seed)
        episode = await roll_out(
            task,
            make_policy(task),
            env,
            perturb=job.perturb,
            model=model,
            reword=_reworder(job),
            id=id,
        )
        if episode.ended != "error" or last:
            break
        await env.close()
    return episode


def job_ids(jobs: Iterable[Job], suite_name: str, policy_name: str) -> dict[Job, str]:
    """The id of each job's episode."""
    return {
        job: episode_id(f"{suite_name}/{job.family}/{job.seed}", policy_name, job.perturb, _variant(job))
        for job in jobs
    }


def _variant(job: Job) -> str:
    return job.goal or (str(job.reword) if job.reword else "")


def _reworder(job: Job) -> Callable[[str], str] | None:
    if job.goal:
        return lambda said: job.goal if said == job.said else said
    if job.reword:
        from trajectories.goals import reword

        return lambda said: reword(said, job.reword)
    return None


__all__ = [
    "EnvironmentDown",
    "Job",
    "OraclePolicy",
    "discard_unfinished",
    "do",
    "episode_id",
    "job_ids",
    "not_stored",
    "oracle_policy",
    "roll_out",
    "roll_out_all",
]
