"""What exploring finds: a demonstration, with what it does to the app and what was left open in it.

A demonstration is a short program on one page (`fill(textbox("Title"), "{{title}}")`, then
`click(button("Save"))`) with a goal in words and an effect. Names in double braces are slots: each episode
draws other values for them. The effect is what somebody who was not there can look for in the app afterwards.

Not covered: how effects are seen (`effects.py`), said (`wording.py`) and where values come from
(`values.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tools.actions import Action, parse
from tools.slots import fill_in, filled

KINDS = ("open", "search", "filter", "sort", "read", "add", "edit", "choose", "tick", "note", "delete")
PRESS = "press"  # what a button or menu item of an application does to what is seen
WRITING = frozenset({"add", "edit", "choose", "tick", "note", "delete"})


@dataclass(frozen=True)
class Slot:
    """A value left open: one of the `options`, or where there are none, anything of that kind
    (`values.py`).
    """

    kind: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Effect:
    """What is so once it is done; what is empty does not matter.

    `at` is the place (path and query) of the page that is then in sight. `where` is a page to load anew, on
    which the link named `opens` is followed first; there `fields` hold these values ("on" and "off" for
    boxes), keyed by role and name as programs write them, every one of `shows` stands somewhere and none of
    `gone`. `answer` is what a question is to be answered with.

    In an application all is looked for in what is seen: `at` is the title of the window that has come up, and
    `shows` and `gone` are elements by role and name, or windows by their titles.
    """

    at: str = ""
    where: str = ""
    opens: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    shows: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    answer: str = ""


@dataclass(frozen=True)
class Demonstration:
    """Something that can be done on `page` (a place of the site): `steps` as a program, and their effect."""

    kind: str
    page: str
    steps: tuple[str, ...]
    effect: Effect
    goals: tuple[str, ...] = ()
    slots: Mapping[str, Slot] = field(default_factory=dict)

    def actions(self, values: Mapping[str, str]) -> tuple[Action, ...]:
        """The steps with the slots filled in."""
        return tuple(filled(parse(step), values) for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(kept: dict[str, Any]) -> Demonstration:
        effect: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in kept["effect"].items()
        }
        slots = {name: Slot(s["kind"], tuple(s["options"])) for name, s in kept["slots"].items()}
        lists = {"steps": tuple(kept["steps"]), "goals": tuple(kept["goals"])}
        return Demonstration(**{**kept, **lists, "effect": Effect(**effect), "slots": slots})


def place(url: str) -> str:
    """What tells one page of a site from another: path and query, without the fragment."""
    split = urlsplit(url)
    return f"{split.path or '/'}?{split.query}" if split.query else split.path or "/"


def emptied(where: str, values: Mapping[str, str]) -> str:
    """A place with the slots' names put back where its query has their values."""
    split = urlsplit(where)
    names = {value: f"{{{{{name}}}}}" for name, value in values.items()}
    pairs = [(key, names.get(value, value)) for key, value in parse_qsl(split.query)]
    return f"{split.path}?{urlencode(pairs, safe='{}')}" if pairs else split.path


def is_at(url: str, wanted: str, values: Mapping[str, str]) -> bool:
    """Whether an address is the wanted place, whatever the order of its query and what is empty in it."""
    one, other = urlsplit(place(url)), urlsplit(wanted)
    pairs = sorted((key, fill_in(value, values)) for key, value in parse_qsl(other.query))
    return one.path == other.path and sorted(parse_qsl(one.query)) == pairs
