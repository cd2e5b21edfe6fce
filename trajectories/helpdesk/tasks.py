"""What a help desk task is: a plan from a family and a seed, set up in a browser, checked in the database.

A family is a function from `Maker` (the seed's randomness, its world and its look) to a `Plan`, registered by
`family(...)`. Nothing here needs a server until `setup`.

Not covered: the families (`tasks_customers.py`, `tasks_tickets.py`, `tasks_desk.py`, `tasks_scripts.py`).
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from tools.actions import Action, quote
from tools.environment import Environment, Start
from tools.observation import Observation
from trajectories.helpdesk.database import Change, Snapshot, changes, same
from trajectories.helpdesk.expert import Lost, Page
from trajectories.helpdesk.look import WORDS, Look
from trajectories.helpdesk.server import HelpDeskServer
from trajectories.helpdesk.world import Row, World
from trajectories.tasks import Outcome

VIEWPORT = (1024, 768)
DONE = Action("send_msg_to_user", ("done",))


@dataclass(frozen=True)
class Plan:
    """A goal, where it starts, what must have changed or been seen in the end, and an expert's next step."""

    goal: str
    start: str  # path
    expert: Callable[[Page], Action]
    expect: tuple[Change, ...] = ()  # this and nothing else must have changed
    view: str | None = None  # path and query of the page that must have been seen last
    confirm: str | None = None  # path of the page whose dialog is to be answered with OK
    files: tuple[tuple[str, str], ...] = ()  # name and content of files that can be uploaded
    signed_in: bool = True
    script: str = ""  # what the coder would write, where that is wanted


class Maker:
    """What a family makes its plan from.

    With `world_seed` the plan is for that world instead of the seed's own; `here` is the path of a page that
    "this ticket" or "this customer" then means.
    """

    def __init__(self, family: str, seed: int | str, world_seed: int | None = None, here: str = "") -> None:
        self.random = random.Random(f"{family}/{seed}")
        # Each family has worlds and looks of its own; a checksum keeps them apart without a table.
        self.world_seed = zlib.crc32(f"{family}/{seed}".encode()) if world_seed is None else world_seed
        self.world, self.look = _known(self.world_seed)
        self.here = here

    def say(self, *templates: str, **values: str) -> str:
        """One of the templates, filled in: `{x}` as it is, `{x!r}` quoted as it must be typed or clicked."""
        return self.random.choice(templates).format(**{k: Said(v) for k, v in values.items()})

    def word(self, key: str) -> str:
        """What a person may call a label: mostly as the page does, else by another wording."""
        if self.random.random() < 0.6:
            return self.look.word(key).lower()
        return self.random.choice(WORDS[key]).lower()

    def ticket_noun(self) -> str:
        return self.random.choice(("ticket", "ticket", "case", "request"))

    def customer_noun(self) -> str:
        return self.random.choice(("customer", "customer", "client"))

    def clauses(self, *pairs: tuple[str, str]) -> tuple[str, list[str]]:
        """`email "a@b.c" and phone "555"`, mostly in the order given; and the keys in the order said."""
        said = list(pairs) if self.random.random() < 0.7 else self.random.sample(pairs, len(pairs))
        joint, last = self.random.choice(((", ", " and "), (", ", ", "), ("; ", "; ")))
        between = self.random.choice((" ", " ", ": ", " = "))
        parts = [f"{self.word(key)}{between}{quote(value)}" for key, value in said]
        text = parts[0] if len(parts) == 1 else joint.join(parts[:-1]) + last + parts[-1]
        return text, [key for key, _ in said]

    def other(self, make: Callable[[random.Random], str], *than: str) -> str:
        """A value that differs from those."""
        while (value := make(self.random)) in than:
            pass
        return value

    def customer(self) -> Row:
        """The customer of the page that is `here`, else any."""
        return self._this("customers") or self.random.choice(self.world.customers)

    def ticket(self, *states: str) -> Row:
        """The ticket of the page that is `here`, else any; of one of the states if any is given."""
        fitting = [t for t in self.world.tickets if not states or t["state"] in states]
        this = self._this("tickets")
        return this if this in fitting and this else self.random.choice(fitting)

    def _this(self, section: str) -> Row | None:
        match = re.match(rf"/{section}/(\d+)", self.here)
        rows: list[Row] = getattr(self.world, section)
        return rows[int(match[1]) - 1] if match and int(match[1]) <= len(rows) else None


@lru_cache(256)
def _known(world_seed: int) -> tuple[World, Look]:
    return World.of(world_seed), Look.of(world_seed)


class Said(str):
    """A text whose `!r` is in double quotes."""

    def __repr__(self) -> str:
        return quote(str(self))


@dataclass(frozen=True)
class Family:
    make: Callable[[Maker], Plan]
    max_steps: int
    looks_only: bool = False
    scripted: bool = False  # its plans have a script


FAMILIES: dict[str, Family] = {}


def family(
    name: str, max_steps: int, looks_only: bool = False, scripted: bool = False
) -> Callable[[Callable[[Maker], Plan]], Callable[[Maker], Plan]]:
    """Register a family; `max_steps` leaves room to recover from a few wrong steps."""

    def register(make: Callable[[Maker], Plan]) -> Callable[[Maker], Plan]:
        FAMILIES[name] = Family(make, max_steps, looks_only, scripted)
        return make

    return register


class HelpDeskTask:
    """One task on a running help desk; see `trajectories.tasks.Task`. With `world_seed` it is one of many in
    that world, which looks the same for all of them, instead of one in a world of its own."""

    suite = "helpdesk"

    def __init__(self, server: HelpDeskServer, family: str, seed: int, world_seed: int | None = None) -> None:
        self.family = family
        self.seed = seed
        self.max_steps = FAMILIES[family].max_steps
        self.server = server
        self.maker = Maker(family, seed, world_seed)
        self.plan = FAMILIES[family].make(self.maker)
        self._before: Snapshot = {}

    @property
    def id(self) -> str:
        return f"{self.suite}/{self.family}/{self.seed}"

    @property
    def script(self) -> str:
        return self.plan.script

    @property
    def files(self) -> Path:
        return self.server.files

    async def setup(self, env: Environment) -> tuple[str, Observation]:
        plan, server = self.plan, self.server
        server.reset(self.maker.world_seed)
        for name, content in plan.files:
            (server.files / name).write_text(content, encoding="utf-8")
        self._before = server.database.snapshot()
        url = server.enter_url(plan.start) if plan.signed_in else server.url + plan.start
        observation = await env.reset(Start(url, viewport=VIEWPORT, files=str(server.files)))
        return plan.goal, observation

    async def check(self, env: Environment, message: str | None) -> Outcome:
        success = self.reached()
        return Outcome(success, float(success))

    def changed(self) -> list[Change]:
        """What differs in the database from how it was set up."""
        return changes(self._before, self.server.database.snapshot())

    def reached(self) -> bool:
        """Whether exactly what was asked has changed, and the page asked for is the one seen last."""
        if not same(self.changed(), self.plan.expect):
            return False
        if self.plan.view is None:
            return True
        return any(is_at(page, self.plan.view) for page in self.server.seen())

    def spoiled(self) -> bool:
        """Whether something has changed that no form of this task can put right."""
        found = self.changed()
        rows = {(c.table, c.id) for c in self.plan.expect}
        # A report, of the lamp or of the month, can be replaced or withdrawn; any other new row stays.
        found = [c for c in found if c.table not in ("reports", "summaries")]
        new = [c for c in found if c.id is None]
        asked = {key for c in self.plan.expect for key, _ in c.values}
        if any(key == "state" and key not in asked for c in found for key, _ in c.values):
            return True  # a ticket closed or opened again by mistake: it may have been waiting before
        return any((c.table, c.id) not in rows for c in found) or any(c not in self.plan.expect for c in new)

    def _report_unasked(self) -> bool:
        """Whether the lamp was reported by mistake."""
        asked = any(c.table == "reports" for c in self.plan.expect)
        return not asked and any(c.table == "reports" for c in self.changed())

    def oracle(self, observation: Observation, history: Sequence[Action]) -> Action:
        page = Page(observation, self.maker.look)
        if self.reached():
            return DONE
        if self.spoiled():
            return Action("report_infeasible", ("something else was changed",))
        if page.path == "/login" and self.plan.signed_in:
            return Action("report_infeasible", ("signed out",))
        if self._report_unasked() and not page.dialog:
            return _or_home(page, lambda p: p.to_section("status", "/status") or p.press("withdraw"))
        return advice(self.plan, page)


def advice(plan: Plan, page: Page) -> Action:
    """What the plan's expert does next on a page, where nothing was changed yet that should not be."""

    def expert(page: Page) -> Action:
        return page.answer(yes=plan.confirm == page.path) if page.dialog else plan.expert(page)

    return _or_home(page, expert)


def _or_home(page: Page, expert: Callable[[Page], Action]) -> Action:
    try:
        return expert(page)
    except Lost:
        try:
            return page.section("dashboard")
        except Lost:
            return Action("go_back")


def place(url: str) -> str:
    """Path and query of an address."""
    split = urlsplit(url)
    return f"{split.path}?{split.query}" if split.query else split.path


def is_at(url: str, view: str) -> bool:
    """Whether two addresses show the same page of the help desk."""
    return _shown(url) == _shown(view)


def _shown(text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A path and its query without what says nothing: empty values and the first page."""
    split = urlsplit(text)
    query = (pair for pair in parse_qsl(split.query) if pair != ("page", "1"))
    return split.path, tuple(sorted(query))
