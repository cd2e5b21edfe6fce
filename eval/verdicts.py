"""How good the reviewer's word is: asked at the end of held-out episodes that went right, and nearly right.

    report = await measure("helpdesk", ("edit-email",), 20, 0, ask, 2, model="nano")

A pair is one held-out task done twice: by its oracle, which the checker must call right, and with one slip
(`trajectories/nearmiss.py`), which it must call wrong. Balanced accuracy is the mean of two shares, good ones
called `done` and near misses called `not yet`; whoever always says the same gets a half. Its standard error
is over pairs, whose two halves are the same task.

Not covered: who is asked (`apps/evaluate.py`), the verdict on a plan before it runs, failures that anyone can
see, pages of the model's own mistakes, and whether a verdict comes from the page or from what was done.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import pstdev
from typing import Any, Literal

from agents.policies import Policy
from eval.runner import SEEDS_APART, seeds
from eval.statistics import standard_error
from tools.actions import Action
from tools.environment import Environment
from tools.observation import Observation
from tools.version import commit
from trajectories.episode import Episode
from trajectories.nearmiss import NearMissPolicy
from trajectories.rollout import Job, do, oracle_policy
from trajectories.suites import open_suite, open_workplace
from trajectories.tasks import Suite, Task

Side = Literal["good", "near_miss"]
RIGHT: dict[Side, str] = {"good": "done", "near_miss": "not yet"}
TRIES = 3  # seeds tried for each pair wanted: not every slip spoils its task

Ask = Callable[[str, Observation, Sequence[Action]], Awaitable[str]]
"""The verdict on a goal, the page at the end and what was done: `done`, `not yet`, or any other word."""


@dataclass(frozen=True)
class Pair:
    """What was said at the end of one task's good episode and of its near miss."""

    task: str
    good: str
    near_miss: str

    @property
    def family(self) -> str:
        return self.task.split("/")[-2]

    def right(self, side: Side) -> bool:
        said: str = getattr(self, side)
        return said == RIGHT[side]

    @property
    def score(self) -> float:
        """Share of the two that are right."""
        return sum(map(self.right, RIGHT)) / len(RIGHT)


@dataclass(frozen=True)
class Verdicts:
    """The figures, and all that is needed to repeat them. `by_task` has the shares again, a family each."""

    suite: str
    role: str
    model: str
    commit: str
    seed: int
    episodes: int  # pairs wanted of a family
    balanced_accuracy: float
    stderr: float
    good: float  # share called done
    good_stderr: float
    near_miss: float  # share called not yet
    near_miss_stderr: float
    n: int  # pairs
    by_task: dict[str, dict[str, float]]
    said: dict[str, dict[str, int]]  # each word that was said, by side
    left_out: dict[str, str]  # families without a pair, and why
    pairs: tuple[Pair, ...]

    def json(self) -> dict[str, Any]:
        return asdict(self)


async def measure(
    suite: str,
    families: Sequence[str],
    episodes: int,
    seed: int,
    ask: Ask,
    workers: int,
    *,
    model: str = "",
    progress: Callable[[Pair], None] = lambda pair: None,
) -> Verdicts:
    """Ask on `episodes` pairs of each family, with `workers` families at once.

    A family that gives fewer pairs from `TRIES` times as many seeds counts with those; one that gives none is
    left out. Whatever `ask` raises ends it. Raises ValueError for episodes or a seed out of range,
    EnvironmentDown where there is no place to work.
    """
    from asyncio import TaskGroup

    seeds(seed, episodes)
    tried = seeds(seed, min(TRIES * episodes, SEEDS_APART))
    queue = iter(families)  # one iterator for all workers: each family is taken once
    found: dict[str, list[Pair]] = {}
    left_out: dict[str, str] = {}

    async with open_workplace(suite) as workplace, TaskGroup() as group:

        async def worker() -> None:
            async with open_suite(suite) as opened:
                env = workplace.environment()
                try:
                    for family in queue:
                        own = found[family] = []
                        for s in tried:
                            made = await make(opened, env, family, s)
                            if isinstance(made, str):
                                left_out.setdefault(family, made)
                                continue
                            own.append(await judge(*made, ask))
                            progress(own[-1])
                            if len(own) == episodes:
                                break
                finally:
                    await env.close()

        for _ in range(max(1, min(workers, len(families)))):
            group.create_task(worker())
    return summarise(
        [pair for family in families for pair in found[family]],
        suite=suite,
        model=model,
        seed=seed,
        episodes=episodes,
        left_out={family: left_out[family] for family in families if not found[family]},
    )


async def make(suite: Suite, env: Environment, family: str, seed: int) -> tuple[Episode, Episode] | str:
    """The task done rightly and nearly so, both as the checker says; else why not."""
    near = await _episode(suite, env, family, seed, NearMissPolicy)
    if near.outcome.success:
        return "the checker accepts its near misses"
    if near.ended not in ("done", "over"):
        return f"its near miss ended by {near.ended} {near.extra.get('error', '')}".strip()
    good = await _episode(suite, env, family, seed, oracle_policy)
    if not good.outcome.success:
        return f"its oracle fails: {good.ended} {good.extra.get('error', '')}".strip()
    return good, near


async def _episode(
    suite: Suite, env: Environment, family: str, seed: int, make_policy: Callable[[Task], Policy]
) -> Episode:
    return await do(Job(family, seed), "", suite, env, make_policy)


async def judge(good: Episode, near: Episode, ask: Ask) -> Pair:
    """Both ends of a pair, shown as training shows them."""
    said = [await ask(e.goal, e.final, history(e)) for e in (good, near)]
    return Pair(good.task, *said)


def history(episode: Episode) -> list[Action]:
    """What was done, as `trajectories/examples.py` tells it to the reviewer."""
    return [action for action in episode.actions if action.name != "noop"]


def summarise(
    pairs: Sequence[Pair], *, suite: str, model: str, seed: int, episodes: int, left_out: dict[str, str]
) -> Verdicts:
    """The figures over all pairs, each weighing the same, and over each family's."""
    overall = shares(pairs)
    by_task = {family: shares([p for p in pairs if p.family == family]) for family in _families(pairs)}
    return Verdicts(
        suite=suite,
        role="reviewer",
        model=model,
        commit=commit(),
        seed=seed,
        episodes=episodes,
        balanced_accuracy=overall["balanced_accuracy"],
        stderr=overall["stderr"],
        good=overall["good"],
        good_stderr=overall["good_stderr"],
        near_miss=overall["near_miss"],
        near_miss_stderr=overall["near_miss_stderr"],
        n=len(pairs),
        by_task=by_task,
        said={side: dict(Counter(getattr(pair, side) for pair in pairs)) for side in RIGHT},
        left_out=left_out,
        pairs=tuple(pairs),
    )


def shares(pairs: Sequence[Pair]) -> dict[str, float]:
    """Balanced accuracy and the two shares it is the mean of, each with its standard error; and `n`."""
    n = len(pairs)
    row: dict[str, float] = {"n": n}
    scores = [pair.score for pair in pairs]
    row["balanced_accuracy"] = sum(scores) / max(1, n)
    row["stderr"] = pstdev(scores) / math.sqrt(n) if n else 0.0
    for side in RIGHT:
        right = sum(pair.right(side) for pair in pairs)
        row[side], row[f"{side}_stderr"] = right / max(1, n), standard_error(right, n)
    return row


def _families(pairs: Sequence[Pair]) -> Iterator[str]:
    yield from dict.fromkeys(pair.family for pair in pairs)
