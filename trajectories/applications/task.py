"""One episode's task in an application: a demonstration with values of its own, on a fresh desktop.

The check asks the application through its accessibility tree, looking anew; what the agent says never counts.

Not covered: finding demonstrations (`walk.py`); the way to one (`oracle.py`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from tools.actions import Action
from tools.desktop import DesktopEnvironment
from tools.environment import Environment, EnvironmentDown, Start
from tools.observation import Observation
from tools.slots import fill_in
from tools.x11.applications import DESKTOP
from trajectories.applications.effects import asks_menus, holds
from trajectories.applications.oracle import advice
from trajectories.applications.state import VIEWPORT, way_to
from trajectories.explore.attempts import draw_all
from trajectories.explore.demonstration import Demonstration
from trajectories.explore.site import Link, Site
from trajectories.explore.task import DONE, SPARE
from trajectories.tasks import Outcome


class ApplicationTask:
    """See `trajectories.tasks.Task`. `begun` are the links gone before its first look; none, unless said."""

    script = ""
    files = None

    def __init__(
        self, site: Site, demonstration: Demonstration, seed: int, begun: Sequence[Link] = ()
    ) -> None:
        self.suite, self.family, self.seed = site.name, demonstration.kind, seed
        self.site, self.demonstration, self.begun = site, demonstration, begun
        chance = random.Random(f"{site.access.url}/{demonstration.kind}/{seed}")
        self.values = draw_all(dict(demonstration.slots), chance)
        self.goal = fill_in(chance.choice(demonstration.goals), self.values)
        self.max_steps = len(way_to(demonstration.page, site)) + len(demonstration.steps) + SPARE
        self._reached = False

    @property
    def id(self) -> str:
        return f"{self.suite}/{self.family}/{self.seed}"

    async def setup(self, env: Environment) -> tuple[str, Observation]:
        looks = await walked(_desktop(env), self.site.access.url, self.begun)
        self._reached = False
        if looks[-1].error:
            raise EnvironmentDown(f"{self.site.access.url} is not as it was explored: {looks[-1].error}")
        return self.goal, looks[-1]

    async def check(self, env: Environment, message: str | None) -> Outcome:
        desktop, effect = _desktop(env), self.demonstration.effect
        marks = await desktop.marks() if asks_menus(effect) else {}
        self._reached = holds(effect, await desktop.peek(), marks, self.values)
        return Outcome(self._reached, float(self._reached))

    def oracle(self, observation: Observation, history: Sequence[Action]) -> Action:
        if self._reached:
            return DONE
        return advice(self.site, self.demonstration, self.values, observation, history)


async def walked(env: DesktopEnvironment, url: str, way: Sequence[Link]) -> list[Observation]:
    """The looks on a way through an application that has been started on a fresh desktop: the first, and one
    after each link; the last has an error where one could not be gone. Raises EnvironmentDown."""
    looks = [await env.reset(Start(url, (url, DESKTOP), viewport=VIEWPORT))]
    for link in way:
        looks.append(await env.step(Action("click", (link.target,))))
        if looks[-1].error:
            break
    return looks


def _desktop(env: Environment) -> DesktopEnvironment:
    if not isinstance(env, DesktopEnvironment):
        raise EnvironmentDown("these tasks need a desktop environment (tools.desktop)")
    return env
