"""An action as something to draw on the page it was decided on: boxes, a line, and words.

    marks(observation, parse("click(5)"))

What is drawn follows from the kinds of the action table's parameters, so a new action that takes targets or
points is drawn with no line added here. All places are CSS pixels of the observation's viewport.

Not covered: drawing (`static/draw.js`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tools.actions import ACTIONS, Action, Kind, Value
from tools.observation import Box, Observation

WORDS: frozenset[Kind] = frozenset({"text", "options", "keys", "url"})
POINTED = frozenset({"click", "dblclick", "hover", "drag_and_drop"})  # done at the middle of their elements
SCROLLED = 0.45  # longest arrow of a scroll, as a share of the viewport


@dataclass(frozen=True)
class Marks:
    """`boxes` are the elements acted on; `line` is where the mouse goes: one point is a click or a move, more
    are a drag or a scroll; `words` is what is typed, chosen, pressed, opened or said."""

    boxes: tuple[Box, ...] = ()
    line: tuple[tuple[float, float], ...] = ()
    words: str = ""


def marks(look: Observation, action: Action) -> Marks:
    """What to draw of `action` on `look`. A target that is not on the page is not drawn."""
    kinds = [kind for _, kind in ACTIONS[action.name].params]
    given = list(zip(kinds, action.args, strict=False))
    found = [look.find(target) for target in action.targets]
    boxes = [element.box for element in found if element is not None]
    numbers = list(_numbers(given))
    points = [look.point(x, y) for x, y in zip(numbers[::2], numbers[1::2], strict=False)]
    words = " ".join(_words(value) for kind, value in given if kind in WORDS)
    if action.name == "select_text":
        boxes = [e.box for e in look.elements if words in e.name][:1]
    elif action.name.startswith("keyboard_") and look.focused is not None:
        boxes = [e.box for e in look.elements if e.ref == look.focused]
    elif action.name in POINTED:
        points = [box.centre for box in boxes]
    elif action.name == "scroll":
        dx, dy = (float(v) for k, v in given if k == "number" and isinstance(v, int | float))
        points = _scroll(look, boxes, dx, dy)
    return Marks(tuple(boxes), tuple(points), words)


def _numbers(given: list[tuple[Kind, Value]]) -> Iterator[float]:
    """The coordinates among an action's arguments, in order."""
    for kind, value in given:
        if kind == "point" and isinstance(value, int | float):
            yield value
        elif kind == "path" and isinstance(value, tuple):
            yield from (v for v in value if isinstance(v, int | float))


def _words(value: Value) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _scroll(look: Observation, boxes: list[Box], dx: float, dy: float) -> list[tuple[float, float]]:
    """An arrow the way the window over the content moves, about the middle of what is scrolled."""
    width, height = look.viewport
    x, y = boxes[0].centre if boxes else (width / 2, height / 2)
    dx = max(-SCROLLED * width, min(SCROLLED * width, dx))
    dy = max(-SCROLLED * height, min(SCROLLED * height, dy))
    ends = [(x - dx / 2, y - dy / 2), (x + dx / 2, y + dy / 2)]
    return [(min(max(0.0, x), width), min(max(0.0, y), height)) for x, y in ends]
