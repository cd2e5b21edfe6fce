"""An explored application as a suite: a family for each kind of effect, a demonstration and new values for
each seed.

    shopfloor generate app:galculator --episodes 100 --out data/galculator

Not covered: exploring it first (`walk.py`, `shopfloor explore`).
"""

from __future__ import annotations

import random

from tools.environment import EnvironmentDown
from tools.x11.session import foreign, missing
from trajectories.applications.state import way_to
from trajectories.applications.task import ApplicationTask
from trajectories.explore.demonstration import KINDS, PRESS
from trajectories.explore.site import Site, SiteError
from trajectories.tasks import Suite


class ApplicationSuite(Suite):
    """See `trajectories.tasks.Suite`. Raises SiteError where there is no map, or nothing on it.

    Seeds choose among the same demonstrations on either side of `HELD_OUT_FROM`: held out are other values,
    words and states to begin in, not other things to do.
    """

    scripted: tuple[str, ...] = ()
    looks_only: frozenset[str] = frozenset()

    def __init__(self, url: str) -> None:
        self.site = Site.load(url)
        self.name = self.site.name
        kinds = {d.kind for d in self.site.demonstrations}
        self.families = tuple(kind for kind in (*KINDS, PRESS) if kind in kinds)
        if not self.families:
            raise SiteError(f"nothing was found to do in {url}; see: shopfloor explore {url} --json")

    def task(self, family: str, seed: int) -> ApplicationTask:
        """A task of a family, mostly begun in the application as it is started, else on the way."""
        chance = random.Random(f"{self.name}/{family}/{seed}/where")
        chosen = chance.choice([d for d in self.site.demonstrations if d.kind == family])
        way = way_to(chosen.page, self.site)
        begun = way[: chance.choice((0, 0, 0, *range(len(way) + 1)))]
        return ApplicationTask(self.site, chosen, seed, begun)

    async def __aenter__(self) -> ApplicationSuite:
        """Raises EnvironmentDown with the packages that are missing, or where there can be no desktop."""
        if why := foreign():
            raise EnvironmentDown(why)
        if packages := missing():
            raise EnvironmentDown(f"a desktop needs, as root: apt-get install {' '.join(packages)}")
        return self

    async def __aexit__(self, *exc: object) -> None:
        return
