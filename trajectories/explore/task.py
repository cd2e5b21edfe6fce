"""One episode's task on an explored site: a demonstration with values of its own, begun some pages away.

The check asks the app: the address in sight, and for what was written a page loaded anew. What the agent says
counts only where a question was asked, and then it is compared with what stands on that page now.

Not covered: finding demonstrations (`walk.py`); the way to the page and the steps (`oracle.py`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from tools.actions import Action
from tools.browser import BrowserEnvironment
from tools.environment import Environment
from tools.observation import Observation
from tools.slots import fill_in
from trajectories.explore.attempts import draw_all
from trajectories.explore.demonstration import WRITING, Demonstration, is_at
from trajectories.explore.door import Door
from trajectories.explore.effects import holds, words
from trajectories.explore.oracle import advice
from trajectories.explore.page import held
from trajectories.explore.site import Site
from trajectories.tasks import Outcome

DONE = Action("send_msg_to_user", ("done",))
SPARE = 6  # steps more than the shortest way


class SiteTask:
    """See `trajectories.tasks.Task`. `start` is the place it begins at; its demonstration's own,
    unless said.
    """

    script = ""
    files = None

    def __init__(
        self, site: Site, door: Door, demonstration: Demonstration, seed: int, start: str | None = None
    ) -> None:
        self.suite, self.family, self.seed = site.name, demonstration.kind, seed
        self.site, self.door, self.demonstration = site, door, demonstration
        self.start = demonstration.page if start is None else start
        chance = random.Random(f"{site.access.url}/{demonstration.kind}/{seed}")
        self.values = draw_all(dict(demonstration.slots), chance)
        self.goal = fill_in(chance.choice(demonstration.goals), self.values)
        way = site.way(self.start, demonstration.page) or []
        self.max_steps = len(way) + len(demonstration.steps) + SPARE
        self._reached = False
        self._seen = -1  # writes begun when the app was last asked

    @property
    def id(self) -> str:
        return f"{self.suite}/{self.family}/{self.seed}"

    async def setup(self, env: Environment) -> tuple[str, Observation]:
        assert isinstance(env, BrowserEnvironment)
        look = await self.door.enter(env, self.start, writes=self.family in WRITING)
        self._reached, self._seen = False, env.writes
        return self.goal, look

    async def check(self, env: Environment, message: str | None) -> Outcome:
        assert isinstance(env, BrowserEnvironment)
        self._reached = await self._reaches(env, message)
        return Outcome(self._reached, float(self._reached))

    async def _reaches(self, env: BrowserEnvironment, message: str | None) -> bool:
        effect = self.demonstration.effect
        if effect.answer:
            if message is None or message.strip() != effect.answer:
                return False
            look = await self.door.anew(env, effect.where)
            return effect.answer in held(look).values() or effect.answer in words(look)
        if effect.at and not is_at(env.page.url, effect.at, self.values):
            return False
        if not effect.where:
            return True
        if env.writes == self._seen:  # nothing was sent since: what was found then is so still
            return self._reached
        self._seen = env.writes
        return await holds(env, self.door, effect, self.values)

    def oracle(self, observation: Observation, history: Sequence[Action]) -> Action:
        if self._reached:
            return DONE
        return advice(self.site, self.demonstration, self.values, observation, history)
