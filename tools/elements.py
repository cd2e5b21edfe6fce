"""A page's elements as one list: the reader (`elements.js`) run in every frame, put together and numbered.

Why not Playwright's ARIA snapshot: it leaves out shapes, colours, select options and nameless icons, and
takes about three times as long. The reader looks once, in document order, and keeps what its ids mean in a
closure that the page cannot reach.

Not covered: when to look and what to do with an element (`browser.py`).
"""

from __future__ import annotations

import asyncio
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.environment import origin
from tools.observation import MAX_ELEMENTS, MAX_NAME, Box, Element, Table

if TYPE_CHECKING:
    from playwright.async_api import ElementHandle, Frame, JSHandle, Page

READER = (Path(__file__).parent / "elements.js").read_text(encoding="utf-8")

# Runs in every document before its own scripts. Remembers which elements listen for the mouse (a page can't
# be asked that later), and makes pixels repeatable: no blinking caret, animations end at once.
INIT = r"""(() => {
  const heard = new WeakSet();
  Object.defineProperty(window, Symbol.for('shopfloor.heard'), { value: heard });
  const kinds = new Set(['click', 'dblclick', 'mousedown', 'mouseup', 'pointerdown', 'pointerup',
    'touchstart']);
  const add = EventTarget.prototype.addEventListener;
  EventTarget.prototype.addEventListener = function (kind, ...rest) {
    if (kinds.has(kind) && this instanceof Element) heard.add(this);
    return add.call(this === undefined ? window : this, kind, ...rest);
  };
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`*, *::before, *::after {
    caret-color: transparent !important; scroll-behavior: auto !important;
    animation-duration: 0.001s !important; animation-delay: 0s !important;
    animation-iteration-count: 1 !important;
    transition-duration: 0.001s !important; transition-delay: 0s !important; }`);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
})()"""

NOWHERE = {"l": 0.0, "t": 0.0, "r": 0.0, "b": 0.0}  # what is seen of a frame that is out of sight
TEXT_LINES = 5  # a long paragraph is listed in at most so many lines


@dataclass(frozen=True)
class Located:
    """What a ref stands for: an id of one frame's reader, good until that reader reads again."""

    frame: Frame
    reader: JSHandle
    id: int


@dataclass(frozen=True)
class Look:
    """One reading of a whole page."""

    elements: tuple[Element, ...]
    located: dict[int, Located]
    hidden: int
    focused: int | None
    title: str
    url: str
    unlisted: tuple[Element, ...]
    versions: tuple[tuple[JSHandle, int], ...] = field(repr=False)


@dataclass
class _Reading:
    """One frame and those in it: its items with what they stand for, and what it does not list."""

    hidden: int
    focused: Located | None
    items: list[tuple[dict[str, Any], Located | None]] = field(default_factory=list)
    unlisted: list[tuple[dict[str, Any], Frame]] = field(default_factory=list)

    def take_unlisted(self, inner: _Reading, focused: bool, dx: float = 0, dy: float = 0) -> None:
        """What a frame within this one does not list; each remembers a focus, which counts in one only."""
        if focused:
            self.focused = inner.focused
        for item, frame in inner.unlisted:
            states = [s for s in item["states"] if focused or s != "focused"]
            if item["role"] == "document" and not states:
                continue
            at = {"x": item["x"] + dx, "y": item["y"] + dy}
            self.unlisted.append(({**item, "states": states, **at}, frame))


class Elements:
    """The reader of one page and all its frames."""

    def __init__(self, page: Page, ignore: str = "") -> None:
        self.page = page
        self.ignore = ignore
        self._readers: dict[Frame, JSHandle] = {}
        self._owners: dict[Frame, ElementHandle] = {}
        page.on("framenavigated", self._forget)
        page.on("framedetached", self._forget)

    def _forget(self, frame: Frame) -> None:
        self._readers.pop(frame, None)
        for child in frame.child_frames:
            self._owners.pop(child, None)
        if frame.is_detached():
            self._owners.pop(frame, None)

    async def reader(self, frame: Frame) -> JSHandle:
        known = self._readers.get(frame)
        if known is None:
            known = self._readers[frame] = await frame.evaluate_handle(READER)
        return known

    async def _owner(self, frame: Frame) -> ElementHandle:
        known = self._owners.get(frame)
        if known is None:
            known = self._owners[frame] = await frame.frame_element()
        return known

    async def look(self) -> Look:
        """Read every frame. Raises Playwright's Error when the page goes away meanwhile."""
        versions: list[tuple[JSHandle, int]] = []
        main, page = await self._read(self.page.main_frame, None, versions)
        elements: list[Element] = []
        unlisted = [_one(item, None, _origin(frame, main["url"])) for item, frame in page.unlisted]
        located: dict[int, Located] = {}
        focus = None
        hidden = page.hidden
        for item, where in page.items:
            owner = _origin(where.frame, main["url"]) if where else ""
            if len(elements) >= MAX_ELEMENTS:
                hidden += 1
                if where is not None:
                    has = ["focused"] if where == page.focused else []
                    more = {**item, "states": [*(item.get("states") or ()), *has]}
                    unlisted.insert(0, _one(more, None, owner))
                continue
            ref = len(located) + 1 if where is not None else None
            if ref is not None and where is not None:
                located[ref] = where
                if where == page.focused:
                    focus = ref
            elements.extend(_lines(item) if ref is None else [_one(item, ref, owner)])
        return Look(
            tuple(elements),
            located,
            hidden,
            focus,
            main["title"],
            main["url"],
            tuple(unlisted),
            tuple(versions),
        )

    async def _read(
        self, frame: Frame, area: dict[str, float] | None, versions: list[tuple[JSHandle, int]]
    ) -> tuple[dict[str, Any], _Reading]:
        """One frame as its reader gave it, and together with those in it. `area` is what is seen of it."""
        children = [f for f in frame.child_frames if not f.is_detached()]
        owners = [await self._owner(f) for f in children]
        reader = await self.reader(frame)
        asked = {"frames": owners, "ignore": self.ignore, "area": area, "limit": MAX_ELEMENTS}
        got = whole(await reader.evaluate("(r, asked) => r.read(asked)", asked))
        versions.append((reader, got["version"]))
        focused = Located(frame, reader, got["focused"]) if got["focused"] >= 0 else None
        found = _Reading(got["hidden"], focused)
        found.unlisted.extend((item, frame) for item in got["unlisted"])
        read: set[int] = set()
        for item in got["items"]:
            if "frame" not in item:
                found.items.append((item, Located(frame, reader, item["id"]) if item["id"] >= 0 else None))
                continue
            read.add(item["frame"])
            dx, dy = item["x"], item["y"]
            seen = item["area"]
            inside = {"l": seen["l"] - dx, "t": seen["t"] - dy, "r": seen["r"] - dx, "b": seen["b"] - dy}
            _, inner = await self._read(children[item["frame"]], inside, versions)
            found.hidden += inner.hidden
            found.take_unlisted(inner, item["frame"] == got["inner"], dx, dy)
            found.items.extend(({**i, "x": i["x"] + dx, "y": i["y"] + dy}, where) for i, where in inner.items)
        if got["inner"] >= 0 and got["inner"] not in read:  # out of sight, and keys go there
            _, inner = await self._read(children[got["inner"]], NOWHERE, versions)
            found.take_unlisted(inner, True)
        return got, found

    async def tables(self) -> list[Table]:
        """The tables of every frame, off screen too. Raises Playwright's Error when the page goes away."""
        found = []
        for frame in self.page.frames:
            for table in whole(await (await self.reader(frame)).evaluate("r => r.tables()")):
                found.append(Table(table["caption"], tuple(table["head"]), tuple(map(tuple, table["rows"]))))
        return found

    async def unchanged(self, look: Look) -> bool:
        """Whether nothing has moved since this look, as far as the page's own changes tell."""
        now = await asyncio.gather(*(reader.evaluate("r => r.version()") for reader, _ in look.versions))
        return all(version == then for version, (_, then) in zip(now, look.versions, strict=True))

    async def version(self) -> int:
        """Changes of the main frame so far, as a look's `versions` has them."""
        return int(await (await self.reader(self.page.main_frame)).evaluate("r => r.version()"))

    async def quiet(self, milliseconds: float) -> bool:
        """Wait until the page has not changed for a frame; False when the time was up first."""
        reader = await self.reader(self.page.main_frame)
        return bool(await reader.evaluate("(r, limit) => r.quiet(limit)", milliseconds))

    async def offset(self, frame: Frame) -> tuple[float, float]:
        """Where a frame's own (0, 0) lies in the page's viewport; scrolls the frames around it into view."""
        x = y = 0.0
        while frame.parent_frame is not None:
            reader = await self.reader(frame.parent_frame)
            at = await reader.evaluate("(r, el) => r.offset(el)", await self._owner(frame))
            x, y = x + at["x"], y + at["y"]
            frame = frame.parent_frame
        return x, y

    async def cover(self, frame: Frame, x: float, y: float) -> str:
        """What lies over a frame at a point of its own coordinates, seen from the frames around it."""
        while frame.parent_frame is not None:
            reader, owner = await self.reader(frame.parent_frame), await self._owner(frame)
            at = await reader.evaluate("(r, el) => r.offset(el)", owner)
            x, y = x + at["x"], y + at["y"]
            over = await reader.evaluate("(r, [el, p]) => r.covered(el, p)", [owner, {"x": x, "y": y}])
            if over:
                return str(over)
            frame = frame.parent_frame
        return ""


def whole(said: Any) -> Any:
    """What a page answered, less halves of characters: pages have them, as has a name that was cut in the
    middle of an emoji, and no prompt, log or file takes them."""
    match said:
        case str() if not said.isascii():
            return said.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        case list():
            return [whole(part) for part in said]
        case dict():
            return {name: whole(part) for name, part in said.items()}
    return said


def _origin(frame: Frame, page: str) -> str:
    """A frame's origin, "" where it is the page's. A frame without an address has that of the one around it;
    what one that was written as `data:` has is nobody's."""
    inner: Frame | None = frame
    while inner is not None and (not inner.url or inner.url.startswith(("about:", "blob:"))):
        inner = inner.parent_frame
    where = origin(inner.url) if inner is not None and inner.parent_frame is not None else ""
    return "" if where == origin(page) else where


def _lines(item: dict[str, Any]) -> list[Element]:
    """What can only be read; a long text as several elements, so that all of it can be."""
    if len(item["name"]) <= MAX_NAME:
        return [_one(item, None, "")]
    box = _box(item)
    lines = textwrap.wrap(item["name"], MAX_NAME, max_lines=TEXT_LINES, placeholder=" …")
    height = box.height / len(lines)
    return [
        Element(None, item["role"], line, Box(box.x, box.y + i * height, box.width, height))
        for i, line in enumerate(lines)
    ]


def _one(item: dict[str, Any], ref: int | None, where: str) -> Element:
    return Element(
        ref,
        item["role"],
        item["name"],
        _box(item),
        value=item.get("value") or None,
        states=tuple(item.get("states") or ()),
        options=tuple(item.get("options") or ()),
        enters=item.get("enters"),
        origin=where,
        keys=tuple(item.get("keys") or ()),
    )


def _box(item: dict[str, Any]) -> Box:
    return Box(round(item["x"], 1), round(item["y"], 1), round(item["w"], 1), round(item["h"], 1))
