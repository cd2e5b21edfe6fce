"""How what is read lies on the screen: in which order, which text names which field, what is in view.

Not covered: reading it (`accessibility.py`).
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tools.observation import MAX_NAME, Box, Element
from tools.x11.atspi import Node, one_line

FIELDS = frozenset({"textbox", "combobox", "spinbutton", "slider"})
TEXT_LINES = 5
SCREENFUL = 16  # lines of a terminal
NEAR = 60.0  # pixels between a field and the text that names it


@dataclass(frozen=True)
class Item:
    """An element before it is numbered: what AT-SPI calls it, whose it is, and where to click it."""

    element: Element
    node: Node | None = None  # None: it can be read, not used
    pid: int = 0
    window: int = 0
    popup: bool = False
    point: tuple[float, float] = (0.0, 0.0)
    focused: bool = False
    roomy: bool = False  # a field of several lines, which no text beside it names


def labelled(items: list[Item]) -> list[Item]:
    """The items, fields without a name called by the text beside them; that text is not listed again."""
    texts = [item for item in items if item.element.role == "text"]
    taken: set[int] = set()
    named: list[Item] = []
    for item in items:
        element = item.element
        if element.role in FIELDS and not item.roomy:
            if element.name:
                taken |= {id(t) for t in texts if one_line(t.element.name) == element.name}
            elif (label := beside(element, texts)) is not None:
                taken.add(id(label))
                element = replace(element, name=one_line(label.element.name))
                item = replace(item, element=element)
            taken |= {
                id(t) for t in texts if t.element.name == element.value and alike(t.element.box, element.box)
            }
        named.append(item)
    return [item for item in named if id(item) not in taken]


def in_order(items: list[Item]) -> list[Item]:
    """The items as they are read, from the top and from the left; what pops up stays behind what it is of.

    The order in the tree is the one in which the application was put together.
    """
    plain = sorted((item for item in items if not item.popup), key=lambda item: item.element.box.y)
    rows: list[list[Item]] = []
    for item in plain:
        first = rows[-1][0].element.box if rows else None
        box = item.element.box
        same = first and first.y <= box.centre[1] <= first.y + first.height and first.height <= 3 * box.height
        if same and box.height <= 3 * (first.height if first else 0):
            rows[-1].append(item)
        else:
            rows.append([item])
    ordered = [item for row in rows for item in sorted(row, key=lambda item: item.element.box.x)]
    return ordered + [item for item in items if item.popup]


def beside(element: Element, texts: Sequence[Item]) -> Item | None:
    """The text to the left of a field on its line, else the one just above; never its own value."""
    box = element.box
    texts = [t for t in texts if t.element.name != element.value]

    def left(text: Box) -> float:
        return box.x - (text.x + text.width)

    def above(text: Box) -> float:
        return box.y - (text.y + text.height)

    row = [t for t in texts if box.y <= t.element.box.centre[1] <= box.y + box.height]
    row = [t for t in row if -4 <= left(t.element.box) <= 4 * NEAR]
    if row:
        return min(row, key=lambda t: left(t.element.box))
    over = [t for t in texts if -4 <= above(t.element.box) <= NEAR / 2]
    over = [
        t
        for t in over
        if t.element.box.x < box.x + box.width and box.x < t.element.box.x + t.element.box.width
    ]
    return min(over, key=lambda t: above(t.element.box), default=None)


def pieces(item: Item) -> list[Item]:
    """A long text as several lines, so that all of it can be read."""
    element = item.element
    if len(element.name) <= MAX_NAME:
        return [item]
    lines = textwrap.wrap(element.name, MAX_NAME, max_lines=TEXT_LINES, placeholder=" …")
    height = element.box.height / len(lines)
    boxes = (replace(element.box, y=element.box.y + i * height, height=height) for i in range(len(lines)))
    pairs = zip(lines, boxes, strict=True)
    return [replace(item, element=replace(element, name=line, box=box)) for line, box in pairs]


def last_lines(item: Item, text: str) -> list[Item]:
    """The last lines of a terminal."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()][-SCREENFUL:]
    element = Element(None, "text", "", item.element.box)
    return [Item(replace(element, name=line)) for line in lines]


def placed(extents: tuple[int, int, int, int]) -> Box | None:
    """None for what has no place: toolkits say so by zeros or by the least number there is."""
    x, y, width, height = extents
    return Box(x, y, width, height) if width > 0 and height > 0 and min(x, y) > -(2**30) else None


def common(one: Box, other: Box | None) -> Box:
    """What two boxes have in common; without width or height where that is nothing."""
    if other is None:
        return one
    x, y = max(one.x, other.x), max(one.y, other.y)
    right = min(one.x + one.width, other.x + other.width)
    bottom = min(one.y + one.height, other.y + other.height)
    return Box(x, y, max(0.0, right - x), max(0.0, bottom - y))


def alike(one: Box, other: Box) -> float:
    """What two boxes share of what they cover together, 0 to 1."""
    both = common(one, other)
    shared = both.width * both.height
    return shared / (one.width * one.height + other.width * other.height - shared or 1)


def points(box: Box | None) -> Iterator[tuple[float, float]]:
    """Points of a box to be looked at, the middle first; none of an empty one."""
    if box is not None and box.width >= 2 and box.height >= 2:
        for across, down in ((0.5, 0.5), (0.2, 0.5), (0.8, 0.5), (0.5, 0.2), (0.5, 0.8)):
            yield box.x + box.width * across, box.y + box.height * down
