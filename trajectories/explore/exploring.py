"""What walking a site and walking an application share: attempts, replays, what is kept, the map on disk.

An attempt without an effect, or with one that no goal fits, is pruned, and nothing is built on it. The rest
is replayed as an episode, from a fresh start and with other values, and kept only if the same effect shows.
Where another effect shows instead, the attempt is relabelled with that one and replayed once more.

Not covered: what is tried and what it did (`walk.py`, `trajectories/applications/walk.py`).
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeVar

from agents.clients import ChatModel
from tools.environment import Environment, EnvironmentDown
from trajectories.explore import wording
from trajectories.explore.attempts import Attempt
from trajectories.explore.demonstration import Demonstration
from trajectories.explore.site import Known, Site, SiteError
from trajectories.rollout import oracle_policy, roll_out
from trajectories.tasks import Task

Place = TypeVar("Place")
WORDS = 4  # searched for at most, until one is found
REPLAY = 700_000  # seeds of replays; episodes begin at 0 and at 1,000,000


class Exploring(ABC, Generic[Place]):
    """One walk over a map. `env` is where replays are done; `note` hears of every place and demonstration."""

    def __init__(
        self,
        site: Site,
        env: Environment,
        teacher: ChatModel | None = None,
        note: Callable[[str], None] = lambda said: None,
    ) -> None:
        self.site, self.env, self.teacher, self.note = site, env, teacher, note
        self.chance = random.Random(site.access.url)

    @abstractmethod
    async def _enter(self) -> str:
        """Make ready; the place to begin at, or "" where some of the map is there. Raises EnvironmentDown."""

    @abstractmethod
    async def _leave(self) -> None: ...

    @abstractmethod
    def _next(self) -> str:
        """Which place of the queue comes next."""

    @abstractmethod
    async def _page(self, where: str, enough: Callable[[], bool]) -> bool:
        """Try all that is new at a place; False where it was enough before its end."""

    @abstractmethod
    async def _try(self, page: Place, attempt: Attempt) -> Demonstration | None:
        """Make an attempt; None where it did nothing that can be looked for. Raises EnvironmentDown."""

    @abstractmethod
    def _task(self, made: Demonstration, seed: int) -> Task: ...

    async def go(self, pages: int, enough: Callable[[], bool] = lambda: False) -> None:
        """Walk until `pages` places are walked in all, none is left, or it is `enough`.

        Raises SiteError where there is nothing to walk, EnvironmentDown if the first won't open.
        """
        site = self.site
        try:
            if first := await self._enter():
                site.queue.append(first)
                site.known[first] = Known()
            while site.queue and len(site.walked) < pages and not enough():
                where = self._next()
                if await self._page(where, enough):
                    site.queue.remove(where)
                    site.walked.append(where)
                site.save()
        finally:
            await self._leave()
        if not site.demonstrations and not enough():
            raise SiteError(
                f"{site.access.url}: nothing on it leads anywhere or does anything that can be seen again"
            )

    async def attempt(self, page: Place, attempt: Attempt) -> None:
        """Try it, say what it did, replay it; and once more with what the second time did, if that
        differs.
        """
        first: Demonstration | None = None
        for _ in range(2):
            made = None
            for _ in range(WORDS if attempt.slots and not attempt.writes else 1):
                try:
                    made = made or await self._try(page, attempt)
                except EnvironmentDown as error:
                    self.note(f"given up: {error}")
                    return
            if made is None:
                if first is None:
                    self.site.count(attempt.means or "any", "pruned")
                return
            if first is not None and (made.kind, made.effect) == (first.kind, first.effect):
                return
            if first is not None:
                self.site.count(made.kind, "relabelled")
            if await self.keep(made):
                return
            first = made

    async def keep(self, made: Demonstration) -> bool:
        """Replay it as an episode, from a fresh start and with other values; keep it if the same shows."""
        site = self.site
        if any(
            (d.page, d.steps, d.effect) == (made.page, made.steps, made.effect) for d in site.demonstrations
        ):
            return True
        site.count(made.kind, "tried")
        if self.teacher is not None:
            made = replace(made, goals=(*made.goals, *await wording.by_teacher(self.teacher, made)))
        task = self._task(made, REPLAY + len(site.demonstrations))
        episode = await roll_out(task, oracle_policy(task), self.env)
        if not episode.outcome.success:
            self.note(f"  did not show again: {episode.goal} ({episode.ended})")
            return False
        site.count(made.kind, "kept")
        site.demonstrations.append(made)
        self.note(f"  {made.kind}: {episode.goal}")
        return True
