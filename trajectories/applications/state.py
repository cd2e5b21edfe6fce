"""A state of an application: what is open in it, as a fingerprint, and what came up with it.

Two looks are of one state where their windows have the same titles and the same elements, by role and name,
can be used; what fields hold and boxes say does not matter. A state is reached by a way of menus, buttons and
tabs from the application as it is started; whoever has gone that way again has the same looks on it.

Not covered: what can be tried in a state (`attempts.py`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tools.actions import Named
from tools.observation import Element, Observation
from trajectories.explore.site import Link, Site

VIEWPORT = (1024, 768)
LONGEST = 8  # links of a way
MENU = "menuitem"  # the roles of menus' items begin so
ROOFS = frozenset({"dialog", "window"})  # what heads the elements of a window where there are several
BOXES = frozenset({"checkbox", "switch", "radio", "menuitemcheckbox", "menuitemradio"})
CHOSEN = frozenset({"tab", "cell", "treeitem", "option"})
FIELDS = frozenset({"textbox", "spinbutton", "combobox", "slider"})


def first(site: Site) -> str:
    """The state of the application as it is started."""
    return (*site.walked, *site.queue)[0]


def way_to(place: str, site: Site) -> list[Link]:
    """The way to a state from there. Raises KeyError where there is none."""
    way = site.way(first(site), place, LONGEST)
    if way is None:
        raise KeyError(place)
    return way


def titles(look: Observation) -> tuple[str, ...]:
    """What the windows are called."""
    return look.tabs or ((look.title,) if look.url != "app:desktop" else ())


def fingerprint(look: Observation) -> str:
    """The same for looks of one state."""
    seen = (*titles(look), *(f"{e.role} {e.name}" for e in look.actionable()))
    return hashlib.sha256("\n".join(seen).encode()).hexdigest()[:16]


def named(look: Observation) -> dict[str, Element]:
    """The elements whose role and name say which one is meant, by both as programs write them."""
    count = Counter((e.role, e.name) for e in look.actionable())
    return {str(Named(e.role, e.name)): e for e in look.actionable() if count[e.role, e.name] == 1}


def seen(look: Observation) -> frozenset[str]:
    """Elements and windows, by role and name, as often as they stand there."""
    windows = {str(Named("window", title)) for title in titles(look)}
    return frozenset(windows | {str(look.named(e.ref)) for e in look.actionable() if e.ref is not None})


def held(look: Observation) -> dict[str, str]:
    """What each field holds, and whether each box, tab and button is on or off; no passwords."""
    known = ((name, state(element)) for name, element in named(look).items())
    return {name: value for name, value in known if value is not None and not value.startswith("•")}


def state(element: Element) -> str | None:
    """An element's value, or "on" or "off"; None for what has neither."""
    if element.role in FIELDS:
        return element.value or ""
    if element.role in BOXES | CHOSEN or element.role == "button":
        return "on" if {"checked", "selected", "pressed"} & set(element.states) else "off"
    return None


def same(one: Observation, other: Observation) -> bool:
    """Whether two looks show the same, values included."""

    def shown(look: Observation) -> list[tuple[object, ...]]:
        return [(e.role, e.name, e.value, e.states) for e in look.elements]

    return titles(one) == titles(other) and shown(one) == shown(other)


@dataclass(frozen=True)
class State:
    """A state that has been reached. `ground` is what it was before its menus were opened: what an item
    chosen in them is compared with, for they close; `menus` lead from there to here again. `fresh` are the
    elements that came up with it, `looks` those of the way."""

    place: str
    look: Observation
    ground: Observation
    fresh: tuple[Element, ...]
    menus: tuple[Link, ...]
    looks: tuple[Observation, ...]


def reached(way: Sequence[Link], looks: Sequence[Observation]) -> State:
    """The state at the end of a way, from the looks at its start and after each of its links."""
    look = looks[-1]
    at = len(way)
    while at and opens_menu(looks[at - 1], looks[at]):
        at -= 1
    fresh = front(look)
    if way and len(titles(look)) == len(titles(looks[-2])):  # the same window, perhaps called otherwise now
        before = {(e.role, e.name) for e in looks[-2].actionable()}
        fresh = [e for e in look.actionable() if (e.role, e.name) not in before]
    clear = named(look).values()
    new = tuple(e for e in fresh if e in clear)
    return State(fingerprint(look), look, looks[at], new, tuple(way[at:]), tuple(looks))


def opens_menu(before: Observation, after: Observation) -> bool:
    """Whether a menu has opened between two looks."""
    there = {(e.role, e.name) for e in before.actionable()}
    new = [e for e in after.actionable() if (e.role, e.name) not in there]
    return titles(before) == titles(after) and any(e.role.startswith(MENU) for e in new)


def front(look: Observation) -> list[Element]:
    """The elements of the window in front, which come first."""
    roofs = [i for i, e in enumerate(look.elements) if e.ref is None and e.role in ROOFS]
    end = roofs[1] if len(roofs) > 1 else len(look.elements)
    return [e for e in look.elements[:end] if e.ref is not None]
