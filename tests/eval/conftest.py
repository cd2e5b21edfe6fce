"""Episodes recorded by the oracle, on a help desk that looks the same in all of them."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable

import pytest

from trajectories.episode import Episode
from trajectories.helpdesk import tasks
from trajectories.helpdesk.look import Look
from trajectories.rollout import oracle_policy, roll_out
from trajectories.suites import open_suite, open_workplace

Record = Callable[[str, int | None, Iterable[int]], Awaitable[list[Episode]]]


@pytest.fixture
def record(chromium_path: str) -> Record:
    """`await record(suite, look, seeds)`: an episode a seed, of any family; with a `look` the help desk has
    that one in all of them, as an app has, whatever is in it."""

    async def recorded(suite: str, look: int | None, seeds: Iterable[int]) -> list[Episode]:
        made = []
        with pytest.MonkeyPatch.context() as patch:
            if look is not None:
                fixed = Look.of(look)
                patch.setattr(Look, "of", staticmethod(lambda seed: fixed))
            tasks._known.cache_clear()  # worlds with their looks
            async with open_workplace(suite) as place, open_suite(suite) as opened:
                env = place.environment()
                for seed in seeds:
                    task = opened.task(random.Random(seed).choice(opened.families), seed)
                    made.append(await roll_out(task, oracle_policy(task), env))
                await env.close()
        tasks._known.cache_clear()
        return made

    return recorded
