"""The help desk as a suite of tasks; see `trajectories.tasks.Suite`.

async with HelpDesk() as suite:
    goal, observation = await suite.task("set-priority", 7).setup(env)
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from tools.actions import Action
from tools.observation import Observation
from trajectories.episode import Episode
from trajectories.helpdesk import tasks_customers, tasks_desk, tasks_scripts, tasks_tickets
from trajectories.helpdesk.asides import asides, midway
from trajectories.helpdesk.server import HelpDeskServer
from trajectories.helpdesk.tasks import FAMILIES, HelpDeskTask

# Importing a module of families registers them.
SHORT = (
    "open-section open-ticket open-customer search-customer edit-email set-priority assign-ticket "
    "comment-ticket close-ticket toggle-setting filter-tickets change-language attach-file service-lamp"
)
LONG = (
    "sign-in create-customer create-ticket new-order find-and-edit-customer close-ticket-from-home "
    "comment-from-home prioritise-and-assign change-signature-from-home"
)
SCRIPTED = "enter-customers enter-tickets sum-column count-rows most-of-all-pages compare-pages remind-rows"
MODULES = (tasks_customers, tasks_desk, tasks_scripts, tasks_tickets)


class HelpDesk:
    """The suite; opening it starts a help desk of its own, closing it stops that."""

    name = "helpdesk"
    families: tuple[str, ...] = (*SHORT.split(), *LONG.split())
    scripted: tuple[str, ...] = tuple(SCRIPTED.split())
    looks_only: frozenset[str] = frozenset(name for name, family in FAMILIES.items() if family.looks_only)

    def __init__(self, seed: int = 0) -> None:
        self.server = HelpDeskServer(seed)

    def task(self, family: str, seed: int) -> HelpDeskTask:
        """A task of a family. Raises KeyError for a family that is not there."""
        return HelpDeskTask(self.server, family, seed)

    def asides(
        self, episode: Episode, at: int, count: int, draw: random.Random, look: Observation | None = None
    ) -> Iterator[tuple[str, Action]]:
        return asides(episode, at, count, draw, look)

    def midway(
        self, episode: Episode, at: int, count: int, draw: random.Random
    ) -> Iterator[tuple[Observation, tuple[Action, ...], str, Action]]:
        return midway(episode, at, count, draw)

    async def __aenter__(self) -> HelpDesk:
        await self.server.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.server.__aexit__(*exc)
