"""An explored site as a suite: a family for each kind of effect, a demonstration and new values for each
seed.

    shopfloor generate http://127.0.0.1:8000/ --episodes 500 --out data/mysite

Not covered: exploring it first (`walk.py`, `shopfloor explore`).
"""

from __future__ import annotations

import random

from trajectories.explore.demonstration import KINDS, Demonstration
from trajectories.explore.door import Door, check_sign_in
from trajectories.explore.site import Site, SiteError
from trajectories.explore.task import SiteTask
from trajectories.tasks import Suite

AWAY = 3  # links at most between an episode's start and its demonstration's page


class SiteSuite(Suite):
    """See `trajectories.tasks.Suite`. Raises SiteError where there is no map, or nothing on it.

    Seeds choose among the same demonstrations on either side of `HELD_OUT_FROM`: held out are other values,
    words and places to begin at, not other things to do.
    """

    scripted: tuple[str, ...] = ()
    looks_only: frozenset[str] = frozenset()

    def __init__(self, url: str) -> None:
        self.site = Site.load(url)
        self.name = self.site.name
        kinds = {d.kind for d in self.site.demonstrations}
        self.families = tuple(kind for kind in KINDS if kind in kinds)
        if not self.families:
            raise SiteError(f"nothing was found to do at {url}; see: shopfloor explore {url} --json")
        self.door = Door(self.site.access)

    def task(self, family: str, seed: int) -> SiteTask:
        chance = random.Random(f"{self.name}/{family}/{seed}/where")
        chosen = chance.choice([d for d in self.site.demonstrations if d.kind == family])
        return SiteTask(self.site, self.door, chosen, seed, self._start(chosen, chance))

    def _start(self, chosen: Demonstration, chance: random.Random) -> str:
        """The demonstration's own page, or one some links before it that is not where it ends."""
        start = chosen.page
        for _ in range(chance.choice((0, 1, 1, 2, 2, AWAY))):
            before = [k.start for k in self.site.links_to(start) if k.start in self.site.known]
            before = [b for b in before if b not in (chosen.page, chosen.effect.at)]
            if not before:
                break
            start = chance.choice(before)
        return start

    async def __aenter__(self) -> SiteSuite:
        check_sign_in(self.site.access.sign_in)
        await self.door.put_back()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.door.leave()
