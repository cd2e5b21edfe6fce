"""How good a policy is: roll it out on held-out tasks of a suite, and report with standard errors.

    report = await evaluate("miniwob", ("click-test",), 20, 0, oracle_policy, 2, policy="oracle")

Every seed lies in the held-out range, which no training data may come from. An episode whose policy or
environment broke down counts as a failure, and is counted again under `errors`.

Not covered: which policies there are and where the report goes (`apps/evaluate.py`).
"""

from __future__ import annotations

import io
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any

from agents.policies import Decision, Policy
from eval.statistics import standard_error, wilson
from tools.actions import Action
from tools.environment import Environment
from tools.observation import Observation
from tools.version import commit
from trajectories.episode import Episode
from trajectories.rollout import episode_id, roll_out
from trajectories.store import Store
from trajectories.suites import open_suite, open_workplace
from trajectories.tasks import HELD_OUT_FROM, HELD_OUT_TO, Suite, Task

SEEDS_APART = 10_000  # an evaluation's seeds; the next `seed` begins after them
GREY = 128
ACTOR, SCRIPTED = "of the actor", "with a script"  # kinds of families

Attempt = Callable[[Task, Environment], Awaitable[Episode]]


@dataclass(frozen=True)
class Report:
    """An evaluation's figures, and all that is needed to repeat it. `results` is task id to success."""

    suite: str
    policy: str
    model: str
    commit: str
    seed: int
    episodes: int  # a family
    without: str
    success: float
    stderr: float
    interval: tuple[float, float]  # 95 %, Wilson's
    whole: float  # share of episodes with the whole reward, where success may be less than that
    false_done: float  # share of episodes that said done where the checker says no
    invalid_actions: int  # answers that were no action
    steps: float  # mean
    seconds_per_step: float
    errors: int  # episodes that policy or environment broke off
    error: str | None  # how the first of them ended
    by_task: dict[str, dict[str, float]] = field(default_factory=dict)
    results: dict[str, bool] = field(default_factory=dict)
    effort: str = ""  # what a model's decision might cost (`agents/effort.py`)
    protocol: str = ""  # a published benchmark's seeds, instead of `seed` and `episodes`
    by_group: dict[str, dict[str, float]] = field(default_factory=dict)  # where families of both were run

    @property
    def total(self) -> int:
        """Episodes run; a protocol may have some of them twice."""
        return round(sum(row["n"] for row in self.by_task.values()))

    def json(self) -> dict[str, Any]:
        return asdict(self)


def seeds(seed: int, episodes: int) -> range:
    """The held-out seeds of an evaluation."""
    most = (HELD_OUT_TO - HELD_OUT_FROM) // SEEDS_APART - 1
    if not 0 < episodes <= SEEDS_APART or not 0 <= seed <= most:
        raise ValueError(f"episodes must be 1 to {SEEDS_APART} and the seed 0 to {most}")
    first = HELD_OUT_FROM + seed * SEEDS_APART
    return range(first, first + episodes)


async def evaluate(
    suite: str,
    families: Sequence[str] | None,
    episodes: int,
    seed: int,
    make_policy: Callable[[Task], Policy] | None,
    workers: int,
    *,
    policy: str,
    model: str = "",
    without: str = "",
    effort: str = "",
    attempt: Attempt | None = None,
    store: Store | None = None,
    progress: Callable[[Episode], None] = lambda episode: None,
    open_: Callable[[str], Suite] = open_suite,
    protocol: str = "",
    seeds_of: Mapping[str, Sequence[int]] | None = None,
) -> Report:
    """Run `episodes` held-out tasks of each family (None: all) with `workers` at once.

    `seeds_of` gives each family's seeds instead, those of a published `protocol`.

    `attempt` does a whole task, for what is no `Policy` (the team); otherwise `make_policy` is rolled out.
    With `store`, episodes are kept there, and those of the same commit, model and settings are not run again;
    `model` should therefore name the weights, not only the family.
    Raises ValueError for families that the suite has not, EnvironmentDown where there is none.
    """
    from asyncio import TaskGroup, to_thread

    of = open_(suite)
    known = (*of.families, *of.scripted)
    families = tuple(families or known)
    if unknown := [f for f in families if f not in known]:
        raise ValueError(f"{suite} has no {', '.join(unknown)}; it has {', '.join(known)}")
    do = attempt if attempt is not None else _attempt(make_policy, model, without)
    own = seeds(seed, episodes)
    # A family's episodes one after the other: its pages need not be loaded anew for each.
    jobs = [(family, s) for family in families for s in (seeds_of[family] if seeds_of else own)]
    variant = f"{model} {without} {effort} {commit()}"
    if commit().endswith("+changes"):
        variant += f" {time.time()}"  # what the changes are is not known, so nothing can be taken up again
    queue = iter(jobs)  # one iterator for all workers: each job is taken once
    kept = set(store.ids()) if store is not None else set()
    done: list[Episode] = []

    async with open_workplace(suite) as workplace, TaskGroup() as group:

        async def worker() -> None:
            async with open_(suite) as opened:
                env = workplace.environment()
                try:
                    for family, s in queue:
                        task = opened.task(family, s)
                        id = episode_id(task.id, policy, variant=variant)
                        if store is not None and id in kept:
                            episode = await to_thread(store.load, id)
                        else:
                            for last in (False, True):
                                episode = replace(await do(task, env), id=id)
                                if episode.ended != "error":
                                    break
                                await env.close()
                                env = workplace.environment()
                                if last or episode.goal:  # without a goal it had not begun: that is no result
                                    break
                            if store is not None:
                                await to_thread(store.add, episode)
                        done.append(episode)
                        progress(episode)
                finally:
                    await env.close()

        for _ in range(max(1, min(workers, len(jobs)))):
            group.create_task(worker())
    order = {job: i for i, job in enumerate(jobs)}
    done.sort(key=lambda episode: order[episode.family, episode.seed])
    report = summarise(done, families, suite=suite, policy=policy, model=model, seed=seed, without=without)
    kinds = {name: set(own) & set(families) for name, own in ((ACTOR, of.families), (SCRIPTED, of.scripted))}
    groups = {name: shares([e for e in done if e.family in own]) for name, own in kinds.items() if own}
    by_group = groups if len(groups) > 1 else {}
    return replace(report, protocol=protocol, effort=effort, by_group=by_group)


def summarise(
    done: Sequence[Episode],
    families: Sequence[str],
    *,
    suite: str,
    policy: str,
    model: str,
    seed: int,
    without: str,
) -> Report:
    """The figures over finished episodes."""
    wins = [e.outcome.success for e in done]
    broken = [str(e.extra.get("error", "")) for e in done if e.ended == "error"]
    steps = [step for e in done for step in e.steps]
    by_task = {}
    for family in families:
        by_task[family] = shares([e for e in done if e.family == family])
    n = max(1, len(done))
    return Report(
        suite=suite,
        policy=policy,
        model=model,
        commit=commit(),
        seed=seed,
        episodes=len(done) // max(1, len(families)),
        without=without,
        success=sum(wins) / n,
        stderr=standard_error(sum(wins), len(wins)),
        interval=wilson(sum(wins), len(wins)),
        whole=sum(e.outcome.reward >= 1 for e in done) / n,
        false_done=sum(e.ended == "done" and not e.outcome.success for e in done) / n,
        invalid_actions=sum(not step.decision.valid for step in steps),
        steps=len(steps) / n,
        seconds_per_step=sum(step.seconds for step in steps) / max(1, len(steps)),
        errors=len(broken),
        error=broken[0] if broken else None,
        by_task=by_task,
        results={e.task: e.outcome.success for e in done},
    )


def shares(done: Sequence[Episode]) -> dict[str, float]:
    """What of these succeeded, with its standard error and how many there are."""
    n, wins = len(done), sum(e.outcome.success for e in done)
    return {
        "success": wins / max(1, n),
        "stderr": standard_error(wins, n),
        "whole": sum(e.outcome.reward >= 1 for e in done) / max(1, n),
        "n": n,
    }


def _attempt(make_policy: Callable[[Task], Policy] | None, model: str, without: str) -> Attempt:
    if make_policy is None:
        raise ValueError("give make_policy, or attempt")

    async def attempt(task: Task, env: Environment) -> Episode:
        chosen = make_policy(task)
        return await roll_out(task, Without(without, chosen) if without else chosen, env, model=model)

    return attempt


class Without:
    """A policy that is kept from something that it was trained with, to tell what that is good for: "image",
    an even grey stands for every screenshot; "history", nothing was done so far."""

    def __init__(self, what: str, policy: Policy) -> None:
        self.name = policy.name
        self._what, self._policy = what, policy

    async def decide(self, goal: str, observation: Observation, history: Sequence[Action]) -> Decision:
        if self._what == "history":
            history = ()
        elif observation.screenshot is not None:
            observation = replace(observation, screenshot=grey_like(observation.screenshot))
        return await self._policy.decide(goal, observation, history)


def grey_like(png: bytes) -> bytes:
    """A PNG of the same size, grey all over."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        return _grey(*image.size)


@cache
def _grey(width: int, height: int) -> bytes:
    from PIL import Image

    made = io.BytesIO()
    Image.new("RGB", (width, height), (GREY, GREY, GREY)).save(made, "PNG")
    return made.getvalue()
