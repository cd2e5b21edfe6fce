"""Doing the action table's actions to a page: each checked again to be possible at the moment it is done.

An element must still be there, in view, and not covered, or the action fails in words for whoever chose it.
Points are clicked with the real mouse, text arrives as a person's would.

Not covered: what is waited for before and after, dialogs, dead pages (`browser.py`).
"""

from __future__ import annotations

import asyncio
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from playwright.async_api import Error, Page, TimeoutError

from tools import clipboard
from tools.actions import FINAL, Action, Target, quote
from tools.elements import Elements, Located, Look
from tools.environment import ActionFailed, Start
from tools.observation import Observation, shorten
from tools.wall import Wall

ACTION_SECONDS = 3.0
LOAD_SECONDS = 5.0  # for what a page still loads when it is there


class Acting(ABC):
    """An environment's hands: for each action of the table a method of its name. What an environment must
    have for that is declared here."""

    files: Path
    _start: Start
    _wall: Wall
    _pages: list[Page]
    _tab: int
    _readers: dict[Page, Elements]
    _last: Observation | None  # what was seen last, and where that lies
    _look: Look | None
    _good: str
    _mouse: tuple[float, float] | None
    _copied: str
    hides: Callable[[str], Iterable[tuple[int, int]]] | None

    @property
    @abstractmethod
    def page(self) -> Page: ...

    @abstractmethod
    async def settle(self) -> None: ...

    @abstractmethod
    def _lost(self, error: Error) -> bool: ...

    @abstractmethod
    def _saving_now(self) -> bool: ...

    async def act(self, action: Action) -> None:
        """Do it. Raises ActionFailed, and Playwright's errors where the page has gone on or died."""
        if action.name not in FINAL:  # words for the person do nothing to the page
            await getattr(self, f"_{action.name}")(*action.args)

    def _ref(self, target: Target) -> int:
        found = self._last.find(target) if self._last is not None else None
        if found is None or found.ref is None:
            said = f"[{target}]" if isinstance(target, int) else str(target)
            raise ActionFailed(f"there is no {said} on the page now")
        return found.ref

    def _say(self, ref: int) -> str:
        element = self._last.find(ref) if self._last is not None else None
        return f"{quote(shorten(element.name, 40))} [{ref}]" if element is not None else f"[{ref}]"

    def _located(self, target: Target) -> tuple[int, Located]:
        ref = self._ref(target)
        if self._look is None or ref not in self._look.located:
            raise ActionFailed(f"there is no [{ref}] on the page now")
        return ref, self._look.located[ref]

    async def _point(self, target: Target) -> tuple[float, float]:
        """Where to click an element now: checked again to be there, in view and not covered."""
        ref, where = self._located(target)
        reader = self._readers[self.page]
        try:
            if where.frame.is_detached():
                raise ActionFailed(f"{self._say(ref)} is gone")
            dx, dy = await reader.offset(where.frame)
            found = await where.reader.evaluate("(r, id) => r.prepare(id)", where.id)
            if where.frame.parent_frame is not None and "error" not in found:
                cover = await reader.cover(where.frame, found["x"], found["y"])
                dx, dy = await reader.offset(where.frame)  # it may have been scrolled
                if cover:
                    found = {"error": f"is covered by {quote(cover)}"}
        except Error as error:
            if self._lost(error):
                raise
            raise ActionFailed(f"{self._say(ref)} is gone") from error
        if "error" in found:
            raise ActionFailed(f"{self._say(ref)} {found['error']}")
        return found["x"] + dx, found["y"] + dy

    async def _move(self, target: Target) -> tuple[float, float]:
        x, y = await self._point(target)
        await self.page.mouse.move(x, y)
        self._mouse = (x, y)
        return x, y

    async def _click(self, target: Target, count: int = 1) -> None:
        x, y = await self._move(target)
        try:
            x, y = await self._point(target)  # hovering may have moved it
        except ActionFailed:
            await self.settle()  # or shows another picture, which is still being loaded
            with suppress(ActionFailed):
                x, y = await self._point(target)
        self._mouse = (x, y)
        await self.page.mouse.click(x, y, click_count=count)

    async def _dblclick(self, target: Target) -> None:
        x, y = await self._point(target)
        self._mouse = (x, y)
        await self.page.mouse.dblclick(x, y)

    async def _hover(self, target: Target) -> None:
        await self._move(target)

    async def _handle(self, target: Target) -> Any:
        """Playwright's handle of an element, after the checks."""
        await self._point(target)
        _, where = self._located(target)
        handle = (await where.reader.evaluate_handle("(r, id) => r.element(id)", where.id)).as_element()
        if handle is None:
            raise ActionFailed(f"{self._say(self._ref(target))} is gone")
        return handle

    async def _fill(self, target: Target, value: str) -> None:
        handle = await self._handle(target)
        try:
            await handle.fill(value)
        except TimeoutError as error:
            raise ActionFailed(f"{self._say(self._ref(target))} can't be filled in (readonly?)") from error

    async def _select_option(self, target: Target, options: str | tuple[str, ...]) -> None:
        ref, where = self._located(target)
        labels = [options] if isinstance(options, str) else list(options)
        handle = await self._handle(target)
        picked = await where.reader.evaluate("(r, [id, l]) => r.pick(id, l)", [where.id, labels])
        if picked is None:
            await self._select_drawn(target, labels)
            return
        if picked["missing"]:
            offered = ", ".join(quote(shorten(o, 30)) for o in picked["labels"][:20])
            raise ActionFailed(f"{self._say(ref)} has no {quote(picked['missing'][0])}; it offers {offered}")
        if picked["shut"]:
            raise ActionFailed(f"{quote(picked['shut'][0])} of {self._say(ref)} is disabled")
        if len(labels) > 1 and not picked["multiple"]:
            raise ActionFailed(f"{self._say(ref)} takes one option only")
        await handle.select_option(index=picked["found"])

    async def _select_drawn(self, target: Target, labels: list[str]) -> None:
        """A list that the page draws itself: open it, and click the options."""
        ref = self._ref(target)
        reader = self._readers[self.page]
        for label in labels:
            look = await reader.look()
            if not any(e.role == "option" and e.name == label for e in look.elements):
                await self._click(ref)
                await reader.quiet(500)
                look = await reader.look()
            option = next((e for e in look.elements if e.role == "option" and e.name == label), None)
            if option is None or option.ref is None:
                raise ActionFailed(f"{self._say(ref)} shows no option {quote(label)}")
            self._look = look
            found = await look.located[option.ref].reader.evaluate(
                "(r, id) => r.prepare(id)", look.located[option.ref].id
            )
            if "error" in found:
                raise ActionFailed(f"{quote(label)} {found['error']}")
            dx, dy = await reader.offset(look.located[option.ref].frame)
            await self.page.mouse.click(found["x"] + dx, found["y"] + dy)

    async def _press(self, target: Target, key: str) -> None:
        handle = await self._handle(target)
        await handle.focus()
        ref, where = self._located(target)
        if not await where.reader.evaluate("(r, id) => r.hears(id)", where.id):
            raise ActionFailed(f"{self._say(ref)} takes no keys; what has the focus would get them")
        await self._keyboard_press(key)

    async def _keyboard_press(self, key: str) -> None:
        if clipboard.PASTE.fullmatch(key):
            if self.hides is not None and any(True for _ in self.hides(self._copied)):
                raise ActionFailed(clipboard.WITHHELD)
            await clipboard.paste(self.page, self._copied)
            return
        try:
            await self.page.keyboard.press(key)
        except Error as error:
            if "Unknown key" in error.message:
                raise ActionFailed(
                    f"there is no key {quote(key)}; write Enter, Tab, ArrowDown, Control+a"
                ) from error
            raise
        if clipboard.COPY.fullmatch(key):
            self._copied = await clipboard.copied(self.page) or self._copied

    async def _keyboard_type(self, text: str) -> None:
        await self.page.keyboard.type(text)

    async def _drag_and_drop(self, source: Target, target: Target) -> None:
        start = await self._point(source)
        end = await self._point(target)
        if await self._point(source) != start:  # bringing the end into view has moved the start
            raise ActionFailed(f"{self._say(self._ref(target))} is too far away to drag to; scroll first")
        # A little past the middle: lists that are sorted by dragging change places only there.
        way = math.dist(start, end) or 1
        x, y = (e + 3 * (e - s) / way for s, e in zip(start, end, strict=True))
        await self._drag(start, (x, y))

    async def _drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        mouse = self.page.mouse
        await mouse.move(*start)
        await mouse.down()
        await mouse.move(*end, steps=6)
        await mouse.move(*end)  # a second move at the end: HTML5 drags enter on the first and drop after
        await mouse.up()
        self._mouse = end

    async def _upload_file(self, target: Target, path: str) -> None:
        inside = self.files.resolve()
        try:
            file = (inside / path).resolve()
            given = file.is_relative_to(inside) and file.is_file()
        except (OSError, ValueError):  # no name that a file can have: too long, or with a null in it
            given = False
        if not given:
            there = sorted(str(f.relative_to(inside)) for f in inside.rglob("*") if f.is_file())[:20]
            raise ActionFailed(
                f"there is no file {quote(shorten(path))}; there are: {', '.join(there) or 'none'}"
            )
        handle = await self._handle(target)
        if await handle.evaluate("el => el.tagName === 'INPUT' && el.type === 'file'"):
            await handle.set_input_files(str(file))
            return
        async with self.page.expect_file_chooser(timeout=ACTION_SECONDS * 900) as chooser:
            await self._click(target)
        await (await chooser.value).set_files(str(file))

    async def _select_text(self, text: str) -> None:
        reader = self._readers[self.page]
        for frame in self.page.frames:
            inside = await reader.reader(frame)
            ends = await inside.evaluate("(r, text) => r.span(text)", text)
            if ends is False:
                raise ActionFailed(
                    f"{quote(shorten(text, 60))} is on something to click, and can't be selected"
                )
            if ends is not None:
                dx, dy = await reader.offset(frame)
                start, end = ((ends[i] + dx, ends[i + 1] + dy) for i in (0, 2))
                await self.page.mouse.click(*start)  # what is selected already would be dragged, not selected
                await self._drag(start, end)
                await asyncio.sleep(0.12)  # rich text editors take note of it up to 0.1 s later (Quill)
                got = await frame.evaluate("() => String(getSelection())")
                if got.split() != text.split():
                    raise ActionFailed(f"{quote(shorten(got, 60))} got selected instead")
                return
        raise ActionFailed(f"{quote(shorten(text, 60))} is not to be seen on the page")

    async def _scroll(self, dx: float, dy: float, target: Target | None = None) -> None:
        if target is not None:
            await self._move(target)
        x, y = self._mouse or (None, None)
        reader = self._readers[self.page]
        asked = {"x": x, "y": y, "dx": dx, "dy": dy}
        for frame in self.page.frames:  # the main frame first
            if await (await reader.reader(frame)).evaluate("(r, asked) => r.scroll(asked)", asked):
                return
            asked["x"] = asked["y"] = None
        raise ActionFailed("nothing more to scroll that way")

    async def _mouse_click(self, x: float, y: float) -> None:
        self._mouse = self._start.pixels(x, y)
        await self.page.mouse.click(*self._mouse)

    async def _mouse_move(self, x: float, y: float) -> None:
        self._mouse = self._start.pixels(x, y)
        await self.page.mouse.move(*self._mouse)

    async def _mouse_path(self, points: tuple[float, ...]) -> None:
        first, *rest = [self._start.pixels(x, y) for x, y in zip(points[::2], points[1::2], strict=True)]
        mouse = self.page.mouse
        await mouse.move(*first)
        await mouse.down()
        for point in rest:
            await mouse.move(*point)
        await mouse.up()
        self._mouse = rest[-1]

    async def _mouse_drag_and_drop(self, from_x: float, from_y: float, to_x: float, to_y: float) -> None:
        await self._drag(self._start.pixels(from_x, from_y), self._start.pixels(to_x, to_y))

    async def _goto(self, url: str) -> None:
        try:
            full = urljoin(self.page.url, url)
            allowed = self._wall.allowed(full)
        except ValueError as error:
            raise ActionFailed(f"{shorten(url)} is no address") from error
        if not allowed:
            raise ActionFailed(self._wall.outside(full))
        try:
            await self._load(full)
        except Error as error:
            # An address that is a download is no failure; it may have ended already.
            if self._lost(error) or self._saving_now() or "Download is starting" in error.message:
                return
            raise ActionFailed(f"{shorten(full)} did not load ({why(error)})") from error

    async def _load(self, url: str) -> None:
        """Open an address, all of it; a picture that does not come is done without."""
        await self.page.goto(url, wait_until="domcontentloaded")
        with suppress(TimeoutError):
            await self.page.wait_for_load_state("load", timeout=LOAD_SECONDS * 1000)

    async def _go_back(self) -> None:
        if await self.page.go_back(wait_until="load") is None and self.page.url == self._good:
            raise ActionFailed("there is no page to go back to")

    async def _tab_focus(self, index: float) -> None:
        if not 0 <= index < len(self._pages) or index != int(index):
            raise ActionFailed(f"there is no tab {index:g}; there are {len(self._pages)}, from 0")
        self._tab = int(index)
        await self.page.bring_to_front()

    async def _tab_close(self) -> None:
        if len(self._pages) == 1:
            raise ActionFailed("this is the only tab; it stays open")
        await self.page.close()
        await self.page.bring_to_front()

    async def _noop(self, milliseconds: float = 0) -> None:
        await asyncio.sleep(max(0.0, min(10_000.0, milliseconds)) / 1000)


def why(error: Error) -> str:
    """Playwright's message without its call log."""
    first = error.message.split("\n", 1)[0]
    return shorten(re.sub(r"^[A-Za-z]+\.[a-z_A-Z]+: ", "", first), 160)
