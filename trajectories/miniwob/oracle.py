"""What MiniWoB++'s oracles are made of: a scene, and short ways to find, press and type.

An oracle says the next action from what is there now, so that any state can be taken up, also one that
chance or a model has led to:

    def click_button(scene: Scene) -> Action:
        return scene.click("button", *scene.said(r'the "(.*)" button'))

What can only be seen, or stands nowhere on the screen, it takes from the page itself: a family's `facts` is
a JavaScript expression, evaluated after every step, whose JSON value is `scene.facts`. Points are CSS pixels
of the viewport there; `scene.at` makes thousandths of them.

Not covered: the oracles (the modules named in `suite.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tools.actions import Action, Value
from tools.observation import EDITABLE, Element, Observation

FIELDS = tuple(EDITABLE)


class OracleLost(LookupError):
    """What the oracle looks for is not on the page."""


@dataclass(frozen=True)
class Scene:
    """Where an oracle stands: the goal, the page as listed, the page's own facts, what was done."""

    goal: str
    look: Observation
    facts: Any = None
    history: tuple[Action, ...] = ()

    def said(self, pattern: str) -> tuple[str, ...]:
        """The groups of a pattern in the goal. Raises OracleLost."""
        match = re.search(pattern, self.goal, re.DOTALL)
        if match is None:
            raise OracleLost(f"the goal {self.goal!r} is not of the form {pattern!r}")
        return match.groups()

    def quoted(self) -> list[str]:
        """What stands between double quotes in the goal, in order."""
        return re.findall(r'"([^"]*)"', self.goal)

    def all(self, *roles: str) -> list[Element]:
        """The elements of these roles that can be acted on, in the page's order; all without roles."""
        return [e for e in self.look.actionable() if not roles or e.role in roles]

    def has(self, name: str | None, *roles: str) -> Element | None:
        """The first element of that name (None: any) and one of the roles (none given: any)."""
        return next((e for e in self.all(*roles) if name is None or e.name == name), None)

    def find(self, name: str | None, *roles: str) -> Element:
        """As `has`, but there must be one. Raises OracleLost."""
        element = self.has(name, *roles)
        if element is None:
            raise OracleLost(f"no {' or '.join(roles) or 'element'} {name or ''} among:\n{self.look.text()}")
        return element

    def on(self, action: str, element: Element, *values: Value) -> Action:
        """An action on an element, its name said first."""
        assert element.ref is not None
        return self.look.labelled(Action(action, (element.ref, *values)))

    def click(self, role: str, name: str | None = None) -> Action:
        """A click on the first element of a role and name. Raises OracleLost."""
        return self.on("click", self.find(name, role))

    def under(self, spot: Mapping[str, float]) -> Element:
        """The smallest element that a point of `placed` lies in. Raises OracleLost."""
        x, y = spot["x"], spot["y"]
        there = [
            e for e in self.all() if 0 <= x - e.box.x <= e.box.width and 0 <= y - e.box.y <= e.box.height
        ]
        if not there:
            raise OracleLost(f"nothing to click at ({x:g}, {y:g}) among:\n{self.look.text()}")
        return min(there, key=lambda e: e.box.width * e.box.height)

    def fill(self, element: Element, text: str) -> Action | None:
        """Fill in a field, or None where it holds the text already; a password shows as dots."""
        value = element.value or ""
        dots = set(value) == {"•"} and len(value) == len(text)
        return None if value == text or dots else self.on("fill", element, text)

    def at(self, x: float, y: float) -> tuple[int, int]:
        """A point of the viewport in CSS pixels as thousandths of the screenshot."""
        across, down = self.look.thousandths(x, y)
        return min(1000, max(0, across)), min(1000, max(0, down))

    def point(self, x: float, y: float) -> Action:
        """A click on a point given in CSS pixels."""
        return Action("mouse_click", self.at(x, y))

    def drag(self, start: Sequence[float], end: Sequence[float]) -> Action:
        """A drag between two points given in CSS pixels."""
        return Action("mouse_drag_and_drop", (*self.at(*start), *self.at(*end)))

    def path(self, points: Sequence[Sequence[float]]) -> Action:
        """Press at the first point, move through the others, release; CSS pixels."""
        return Action("mouse_path", (tuple(float(v) for p in points for v in self.at(*p)),))


Oracle = Callable[[Scene], Action]


@dataclass(frozen=True)
class Family:
    """One task of MiniWoB++: its oracle, the page's facts it needs, and the steps it may take."""

    oracle: Oracle
    facts: str = "null"  # a JavaScript expression
    steps: int = 10  # the benchmark's; more only where the shortest way is longer
    repeats: bool = False  # the same click again may lead on, as when a die is thrown


def placed(selector: str, more: str = "") -> str:
    """Facts: what a CSS selector finds, each with its middle `x`, `y` and `more`, JavaScript of `e`."""
    return f"""[...document.querySelectorAll('{selector}')].filter((e) => e.checkVisibility()).map((e) => {{
  const r = e.getBoundingClientRect();
  return {{ x: r.x + r.width / 2, y: r.y + r.height / 2, {more} }};
}})"""


def first(*actions: Action | None) -> Action:
    """The first that is an action: steps in order, each None where it is done already. Raises OracleLost."""
    for action in actions:
        if action is not None:
            return action
    raise OracleLost("everything seems to be done, yet the page has not ended")
