"""What a desktop task is: a plan from a family and a seed, set up on a private desktop, checked from outside.

A checker reads what the agent's mouse and keyboard left behind: files of the home folder, what a program
printed, how it ended, what the image viewer's window is called, what the calculator shows. It never asks the
agent, and what it reads of a program lies where boxed applications can't write.

A family is a function from `Maker` (the seed's randomness) to a `Plan`, registered by `family(...)`.

Not covered: the families (`editor.py`, `files.py`, `dialogs.py`, `sums.py`, `others.py`, `crossing.py`).
"""

from __future__ import annotations

import random
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tools.actions import Action, Named, quote
from tools.desktop import DesktopEnvironment
from tools.environment import Environment, EnvironmentDown, Start
from tools.observation import Element, Observation
from tools.x11.applications import DESKTOP, HARMLESS
from trajectories.tasks import Outcome

VIEWPORT = (1024, 768)
DONE = Action("send_msg_to_user", ("done",))
LOST = Action("report_infeasible", ("this can't be put right from here",))
NOUNS = (
    "amber anchor apple atlas basil beacon birch breeze bridge canyon cedar cinder clover cobalt "
    "copper coral crane delta ember fable falcon fern flint garnet ginger glacier harbor hazel indigo "
    "island ivory jasper juniper lantern laurel lemon linden lotus maple marble meadow mint nectar "
    "nutmeg oasis olive onyx orchid pebble pepper pine plum poppy quartz raven river saffron sage "
    "sierra silver sparrow summit thistle timber topaz tulip umber velvet walnut willow zephyr"
)
WORDS = NOUNS.split()
PEOPLE = (
    "Ada Lovelace",
    "Zoë Müller",
    "Jürgen Groß",
    "Søren Holm",
    "Ana Peña",
    "Łukasz Nowak",
    "Chloé Dubois",
    "Mia Park",
    "Omar Haddad",
    "Ivan Петров",
    "Lea Weiß",
    "Noor Khan",
    "Eva Škoda",
    "Tom O'Neil",
    "Yuki 山田",
    "Rosa Díaz",
)


@dataclass(frozen=True)
class World:
    """How things stand, seen from outside the desktop."""

    home: Path
    printed: str  # by the program that the task began with
    code: int | None  # how that ended; None while it goes on
    titles: tuple[str, ...]  # of the image viewer's windows
    shown: str  # on the display that the plan has read

    def files(self) -> dict[str, bytes]:
        """What lies in the home folder, by relative path; folders end in a slash. Hidden ones don't count."""
        found: dict[str, bytes] = {}
        for path in sorted(self.home.rglob("*")):
            name = str(path.relative_to(self.home))
            if not any(part.startswith(".") for part in Path(name).parts):
                found.update({f"{name}/": b""} if path.is_dir() else {name: path.read_bytes()})
        return found

    def holds(self, wanted: Mapping[str, str | bytes]) -> bool:
        """Whether the home folder has exactly this; a text may end with a line end or without."""
        files = self.files()
        return files.keys() == wanted.keys() and all(_same(files[name], wanted[name]) for name in wanted)

    def cells(self, name: str) -> list[list[str]] | None:
        """The values of a spreadsheet's cells, as Gnumeric's converter works them out; None if it can't."""
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "cells.csv"
            argv = ["ssconvert", "--export-type=Gnumeric_stf:stf_csv", str(self.home / name), str(made)]
            ran = subprocess.run(argv, capture_output=True, timeout=60, env={"PATH": "/usr/bin:/bin"})
            if ran.returncode or not made.is_file():
                return None
            return [line.split(",") for line in made.read_text(encoding="utf-8").splitlines()]


def _same(there: bytes, wanted: str | bytes) -> bool:
    if isinstance(wanted, bytes):
        return there == wanted
    return there.decode("utf-8", errors="replace").removesuffix("\n") == wanted.removesuffix("\n")


class Lost(Exception):
    """What is needed is not on the screen."""


@dataclass(frozen=True)
class Screen:
    """One observation as an oracle reads it, and what was done before. Methods raise Lost."""

    look: Observation
    history: tuple[Action, ...]
    world: World

    @property
    def app(self) -> str:
        return self.look.url.removeprefix("app:")

    @property
    def clicked(self) -> list[str]:
        """The names of what was clicked, in order."""
        return [action.label or "" for action in self.history if action.name == "click"]

    def did(self, action: Action) -> bool:
        """Whether this was the last thing done."""
        return bool(self.history) and self.history[-1] == action

    def has(self, role: str, name: str) -> bool:
        return self.look.find(Named(role, name)) is not None

    def element(self, role: str, name: str) -> Element:
        found = self.look.find(Named(role, name))
        if found is None:
            raise Lost(f"no {role} {name!r}")
        return found

    def act(self, call: str, role: str, name: str, *values: str) -> Action:
        """An action on an element by role and name, its name said first."""
        self.element(role, name)
        return self.look.labelled(Action(call, (Named(role, name), *values)))

    def click(self, role: str, name: str) -> Action:
        return self.act("click", role, name)

    def fill(self, role: str, name: str, value: str) -> Action | None:
        """Put a field right; None where it is."""
        return (
            None if (self.element(role, name).value or "") == value else self.act("fill", role, name, value)
        )

    def front(self, title: str) -> Action:
        """Bring the window of a title to the front."""
        for index, name in enumerate(self.look.tabs):
            if title in name:
                return Action("tab_focus", (index,))
        raise Lost(f"no window {title!r}")


def keys(*pressed: str) -> Action:
    return Action("keyboard_press", pressed)


def typed(text: str) -> Action:
    return Action("keyboard_type", (text,))


@dataclass(frozen=True)
class Plan:
    """A goal, what is there at the start, how to tell that it is reached, and an expert's next step."""

    goal: str
    done: Callable[[World], bool]
    expert: Callable[[Screen], Action]
    open: tuple[str, ...] = ()  # addresses of applications, opened in this order
    run: tuple[str, ...] = ()  # or a program's command line, opened last
    files: Mapping[str, str | bytes] = field(
        default_factory=dict
    )  # of the home folder; folders end in a slash
    first: tuple[Action, ...] = ()  # done before the first look, to set an application up
    program: str = ""  # a text handed to the program as a file of its own, outside the home folder
    shows: str = ""  # the application whose display the checker reads


class Maker:
    """What a family makes its plan from."""

    def __init__(self, family: str, seed: int) -> None:
        self.random = random.Random(f"desktop/{family}/{seed}")

    def say(self, *templates: str, **values: str) -> str:
        """One of the templates, each `{x}` filled in quoted."""
        return self.random.choice(templates).format(**{k: quote(v) for k, v in values.items()})

    def word(self) -> str:
        return self.random.choice(WORDS)

    def words(self, count: int) -> list[str]:
        """Different words."""
        return self.random.sample(WORDS, count)

    def sentence(self) -> str:
        """A few words, some of other scripts."""
        said = self.words(self.random.randint(2, 5))
        if self.random.random() < 0.4:
            said.append(self.random.choice(PEOPLE))
        return " ".join(said).capitalize() + self.random.choice((".", "!", ""))

    def bare(self, value: str) -> str:
        """A value of one word as people write it: as often without quotes as in them."""
        return self.random.choice((value, quote(value)))

    def file(self, *endings: str) -> str:
        return f"{self.word()}{self.random.choice(endings or ('.txt',))}"


@dataclass(frozen=True)
class Family:
    make: Callable[[Maker], Plan]
    max_steps: int
    looks_only: bool = False


FAMILIES: dict[str, Family] = {}


def family(
    name: str, max_steps: int, looks_only: bool = False
) -> Callable[[Callable[[Maker], Plan]], Callable[[Maker], Plan]]:
    """Register a family; `max_steps` leaves room to recover from a few wrong steps."""

    def register(make: Callable[[Maker], Plan]) -> Callable[[Maker], Plan]:
        FAMILIES[name] = Family(make, max_steps, looks_only)
        return make

    return register


def closed(name: str) -> None:
    """Register a family once more, as `NAME-from-desktop`: nothing is open, and what its tasks begin with is
    opened first."""
    opened = FAMILIES[name]

    def make(maker: Maker) -> Plan:
        plan = opened.make(maker)
        (url,) = plan.open

        def expert(screen: Screen) -> Action:
            return Action("goto", (url,)) if screen.look.url == DESKTOP else plan.expert(screen)

        return replace(plan, open=(), first=(), expert=expert)

    FAMILIES[f"{name}-from-desktop"] = replace(opened, make=make, max_steps=opened.max_steps + 2)


class DesktopTask:
    """One task; see `trajectories.tasks.Task`."""

    suite = "desktop"
    families = FAMILIES
    script = ""
    files: Path | None = None

    def __init__(self, family: str, seed: int) -> None:
        self.family = family
        self.seed = seed
        self.max_steps = self.families[family].max_steps
        self.plan = self.families[family].make(Maker(family, seed))
        self.world = World(Path(), "", None, (), "")
        self._pid = 0

    @property
    def id(self) -> str:
        return f"{self.suite}/{self.family}/{self.seed}"

    async def setup(self, env: Environment) -> tuple[str, Observation]:
        desktop, plan = _desktop(env), self.plan
        origins = (DESKTOP, *(f"app:{name}" for name in HARMLESS), *(u.split("?")[0] for u in plan.open))
        await desktop.open(Start(DESKTOP, origins, viewport=VIEWPORT))
        for name, content in plan.files.items():
            path = desktop.home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                path.mkdir()
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        for url in plan.open:
            await desktop.launch(url)
        if plan.run:
            program = desktop.aside / "program"
            program.write_text(plan.program, encoding="utf-8")
            argv = [word.replace("{program}", str(program)) for word in plan.run]
            self._pid = await desktop.run(argv[0], argv, desktop.aside / "printed")
        look = await desktop.observe()
        for action in plan.first:
            look = await desktop.step(action)
        await self.check(env, None)
        return plan.goal, look

    async def check(self, env: Environment, message: str | None) -> Outcome:
        desktop = _desktop(env)
        printed = desktop.aside / "printed"
        self.world = World(
            desktop.home,
            printed.read_text(encoding="utf-8", errors="replace") if printed.exists() else "",
            desktop.exit_code(self._pid) if self._pid else None,
            desktop.titles("gpicview"),
            await desktop.displayed(self.plan.shows) if self.plan.shows else "",
        )
        success = self.plan.done(self.world)
        return Outcome(success, float(success))

    def oracle(self, observation: Observation, history: Sequence[Action]) -> Action:
        if self.plan.done(self.world):
            return DONE
        if self.world.code is not None:
            return LOST  # the dialog was answered, and wrongly
        try:
            return self.plan.expert(Screen(observation, tuple(history), self.world))
        except Lost:
            return (
                LOST if len(history) > 2 and history[-1] == history[-2] == keys("Escape") else keys("Escape")
            )


def _desktop(env: Environment) -> DesktopEnvironment:
    if not isinstance(env, DesktopEnvironment):
        raise EnvironmentDown("these tasks need a desktop environment (tools.desktop)")
    return env
