"""What an agent sees: screenshot and elements of one moment, and the short text made of them.

The text is the same for a browser and a desktop, one element a line, the name before the ref so that
pointing is plain copying:

    page: Customers (/customers)
    link "Dashboard" [1]
    textbox "Search" [2] = "ada"
    combobox "Priority" [3] = "low" of low|normal|high
    checkbox "VIP" [4] checked
    text "3 customers found"

Not covered: taking an observation (`browser.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tools.actions import Action, Named, Target, Value, quote

EDITABLE = frozenset({"textbox", "searchbox", "spinbutton", "combobox", "slider"})
MAX_ELEMENTS = 120  # listed at most; the rest is reached by scrolling
MAX_NAME = 80  # characters of a name or value shown
MAX_OPTIONS = 30


@dataclass(frozen=True)
class Box:
    """A rectangle in CSS pixels of the viewport: left, top, width, height."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True)
class Element:
    """One thing on the page. `ref` is None for what can be read but not acted on (plain text)."""

    ref: int | None
    role: str
    name: str
    box: Box
    value: str | None = None
    states: tuple[str, ...] = ()  # checked, disabled, expanded, selected, pressed, readonly, required, ...
    options: tuple[str, ...] = ()  # what a combobox or listbox offers, by label
    enters: str | None = None  # the button that Enter in this field presses, "" for none; None: not known
    origin: str = ""  # of the frame that it lies in, where that is another than the page's
    keys: tuple[str, ...] = ()  # combinations that press it wherever the focus is, such as Alt+d

    def line(self) -> str:
        """The element as one line of an observation's text."""
        parts = [self.role, quote(shorten(self.name))]
        if self.ref is not None:
            parts.append(f"[{self.ref}]")
        if self.value:
            parts.append(f"= {quote(shorten(self.value))}")
        if self.options:
            shown = "|".join(shorten(o, 40) for o in self.options[:MAX_OPTIONS])
            parts.append("of " + shown + ("|…" if len(self.options) > MAX_OPTIONS else ""))
        parts.extend(self.states)
        return " ".join(parts)


@dataclass(frozen=True)
class Table:
    """A table of the page, all of its rows; `head` is empty where nothing says what the columns are."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def records(self) -> list[dict[str, str]] | list[list[str]]:
        """Its rows by the columns' heads, a nameless column by its number from 1; without heads as lists."""
        if not self.head:
            return [list(row) for row in self.rows]
        names: list[str] = []
        for number, head in enumerate(self.head, 1):
            name = head or f"column {number}"
            names.append(name if name not in names else f"{name} {number}")
        return [dict(zip(names, row, strict=False)) for row in self.rows]


@dataclass(frozen=True)
class Observation:
    """Screenshot and elements of one moment.

    `screenshot` is PNG bytes of the viewport at CSS scale (None only where nothing could be drawn);
    `viewport` is its width and height in CSS pixels; `error` says why the last action failed;
    `hidden` counts elements that did not fit the bound or lie off screen; `focused` is a ref. `unlisted` is
    what can be pressed though it is not listed: what has the focus, or is pointed at by what has it, with
    the state "focused", what has `keys`, and what lies in view. It is for the policy, and stands in no text.
    """

    url: str
    title: str
    viewport: tuple[int, int]
    elements: tuple[Element, ...] = ()
    screenshot: bytes | None = field(default=None, repr=False)
    focused: int | None = None
    error: str | None = None
    tabs: tuple[str, ...] = ()
    tab: int = 0
    hidden: int = 0
    unlisted: tuple[Element, ...] = ()
    restarted: bool = False  # the browser had to be started again before this observation

    def text(self) -> str:
        """The page as short text; what every prompt shows and every log keeps."""
        split = urlsplit(self.url)
        path = split.path.rsplit("/", 1)[-1] if split.scheme == "file" else split.path  # no machine's folders
        place = f"{path}?{split.query}" if split.query else path
        lines = [f"page: {shorten(self.title)} ({shorten(place)})"]
        if len(self.tabs) > 1:
            marked = (
                "*" + shorten(t, 30) if i == self.tab else shorten(t, 30) for i, t in enumerate(self.tabs)
            )
            lines.append("tabs: " + "|".join(marked))
        lines.extend(e.line() for e in self.elements[:MAX_ELEMENTS])
        left = self.hidden + max(0, len(self.elements) - MAX_ELEMENTS)
        if left:
            lines.append(f"{left} more: scroll")
        if self.error:
            lines.append(f"error: {shorten(self.error, 200)}")
        return "\n".join(lines)

    def actionable(self) -> Iterator[Element]:
        """Elements that have a ref and are listed in the text."""
        return (e for e in self.elements[:MAX_ELEMENTS] if e.ref is not None)

    def find(self, target: Target) -> Element | None:
        """The element a target means here, or None. A `Named` target matches role and name exactly."""
        if isinstance(target, Named):
            same = [e for e in self.actionable() if e.role == target.role and e.name == target.name]
            return same[target.nth] if target.nth < len(same) else None
        return next((e for e in self.actionable() if e.ref == target), None)

    def reached(self) -> tuple[Element, ...]:
        """What keys go to, listed or not: what has the focus, then what that points at (of a list)."""
        listed = self.find(self.focused) if self.focused else None
        beyond = tuple(e for e in self.unlisted if "focused" in e.states)
        return beyond if listed is None else (listed, *beyond)

    def named(self, ref: int) -> Named | None:
        """The role-and-name target of a ref, which outlives this observation; None if it is not listed."""
        element = self.find(ref)
        if element is None:
            return None
        same = [e for e in self.actionable() if (e.role, e.name) == (element.role, element.name)]
        return Named(element.role, element.name, same.index(element))

    def point(self, x: float, y: float) -> tuple[float, float]:
        """CSS pixels of a point given in thousandths of the screenshot."""
        return x * self.viewport[0] / 1000, y * self.viewport[1] / 1000

    def thousandths(self, x: float, y: float) -> tuple[int, int]:
        """Thousandths of the screenshot of a point given in CSS pixels; within half a thousandth of it."""
        return round(x * 1000 / self.viewport[0]), round(y * 1000 / self.viewport[1])

    def labelled(self, action: Action) -> Action:
        """The action with its (first) target by ref and its name said before it, as models write it.

        Raises KeyError when the target is not on this page.
        """
        if not action.targets:
            return action
        refs: dict[Value, int] = {}
        for target in action.targets:
            element = self.find(target)
            if element is None or element.ref is None:
                raise KeyError(f"no {target} on this page")
            refs[target] = element.ref
        args = tuple(refs.get(a, a) for a in action.args)
        first = self.find(action.targets[0])
        return Action(action.name, args, label=shorten(first.name) if first else None)


def shorten(text: str, length: int = MAX_NAME) -> str:
    """One line of at most `length` characters."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"
