"""Doing the action table's actions on a desktop: each checked again to be possible at the moment it is done.

An element must still be there, at rest, and not covered, or the action fails in words for whoever chose it.
What applications get is real input of mouse and keyboard, but for sliders, which take their number.

Not covered: what is waited for before and after, applications that die (`tools/desktop.py`).
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence, Set
from contextlib import suppress

from dbus_fast import Variant

from tools.actions import FINAL, Action, Target, quote
from tools.environment import ActionFailed, Start, origin
from tools.observation import Box, Element, Observation, shorten
from tools.x11 import accessibility
from tools.x11.accessibility import topmost
from tools.x11.applications import DESKTOP, TERMINALS, name_of
from tools.x11.atspi import Node, Silent, State
from tools.x11.layout import FIELDS, Item
from tools.x11.screen import Screen
from tools.x11.windows import Window

FOCUS_SECONDS = 2.0  # for what was typed or clicked to arrive
NOTCH = 60.0  # pixels that one notch of the wheel scrolls, in most applications
FARTHEST = 300 * NOTCH  # pixels: notches are all sent at once, and nobody can stop them on their way
FLASH_SECONDS = 0.3  # a GTK button that a key has pressed flashes, and takes none meanwhile
BULLETS = "●•*"  # what toolkits show of a password


class Acting(ABC):
    """A desktop's hands: for each action of the table a method of its name. What an environment must have for
    that is declared here."""

    _start: Start
    _last: Observation | None  # what was seen last, and what its refs mean
    _items: dict[int, Item]
    _mouse: tuple[float, float] | None

    @property
    @abstractmethod
    def screen(self) -> Screen: ...

    @abstractmethod
    async def settle(self) -> None: ...

    @abstractmethod
    async def drained(self) -> None: ...

    @abstractmethod
    async def look(self) -> Observation: ...

    @abstractmethod
    async def launch(self, url: str) -> None: ...

    async def act(self, action: Action) -> None:
        """Do it. Raises ActionFailed, Silent, NoKey, and Xlib's errors where the display has gone."""
        if action.name not in FINAL:  # words for the person do nothing to the desktop
            await getattr(self, f"_{action.name}")(*action.args)

    def _item(self, target: Target) -> tuple[int, Item]:
        found = self._last.find(target) if self._last is not None else None
        if found is None or found.ref is None or found.ref not in self._items:
            said = f"[{target}]" if isinstance(target, int) else str(target)
            raise ActionFailed(f"there is no {said} on the screen now")
        return found.ref, self._items[found.ref]

    def _say(self, ref: int) -> str:
        return f"{quote(shorten(self._items[ref].element.name, 40))} [{ref}]"

    async def _point(self, target: Target) -> tuple[float, float]:
        """Where to click an element now: checked again to be there, at rest, and not covered."""
        ref, item = self._item(target)
        box = await self._place(ref, item)
        for _ in range(20):
            await asyncio.sleep(0.02)
            now = await self._place(ref, item)
            if now == box:
                break
            box = now
        # What was seen of it was a part, perhaps; the same part of where it is now.
        old = item.element.box
        x = item.point[0] - old.x + box.x
        y = item.point[1] - old.y + box.y
        top = topmost(self.screen.windows.stacked(), x, y)
        if top is None or not (top.popup if item.popup else top.id == item.window):
            raise ActionFailed(f"{self._say(ref)} is covered by {quote(top.title if top else 'nothing')}")
        self.suits(top)
        return x, y

    def suits(self, window: Window | None) -> None:
        """Raises ActionFailed where nothing is to be done in a window. The policy judges by the window in
        front, so in a terminal behind it, where a line is a command, nothing is typed or clicked."""
        if window is None or window.popup or window.id == self.screen.windows.active():
            return
        if self._called(window) in TERMINALS:
            raise ActionFailed(f"{quote(window.title)} is not in front; bring it there first")

    def _pixels(self, x: float, y: float) -> tuple[float, float]:
        """A point given in thousandths, where what lies there may be acted on."""
        point = self._start.pixels(x, y)
        self.suits(topmost(self.screen.windows.stacked(), *point))
        return point

    async def _place(self, ref: int, item: Item) -> Box:
        box = await accessibility.place(self.screen.atspi, item)
        if box is None:
            raise ActionFailed(f"{self._say(ref)} is gone")
        return box

    async def _click(self, target: Target, count: int = 1) -> None:
        ref, item = self._item(target)
        if "disabled" in item.element.states and not await self._enabled(item):
            raise ActionFailed(f"{self._say(ref)} is disabled")
        self._mouse = await self._point(target)
        self.screen.input.click(*self._mouse, count=count)

    async def _dblclick(self, target: Target) -> None:
        await self._click(target, 2)

    async def _hover(self, target: Target) -> None:
        self._mouse = await self._point(target)
        self.screen.input.move(*self._mouse)

    async def _fill(self, target: Target, value: str) -> None:
        value = value.replace("\r\n", "\n")  # as it is typed
        ref, item = self._item(target)
        role, states = item.element.role, item.element.states
        if role == "slider":
            await self._slide(ref, item, value)
            return
        if role not in FIELDS or "readonly" in states:
            raise ActionFailed(f"{self._say(ref)} can't be filled in; click it and type")
        menu = any(window.popup for window in self.screen.windows.stacked())
        if await self._has_keyboard(item) and not menu:
            # A click more would be held back by the window manager, and come after the keys.
            await self._point(target)
        else:
            await self._click(target)
            await self._focused(item)
        await self.screen.input.press("Control+a")
        if value:
            await self.screen.input.type(value)
        else:
            await self.screen.input.press("Delete")
        await self.drained()
        if role in ("textbox", "spinbutton") and item.node is not None:
            with suppress(Silent):
                holds = await self._holds(item.node, value)
                if holds != value and holds.strip(BULLETS):
                    raise ActionFailed(f"{self._say(ref)} now holds {quote(shorten(holds))}")

    async def _holds(self, node: Node, value: str) -> str:
        """What a field holds: `value` as soon as it is that, else what it is after `FOCUS_SECONDS`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + FOCUS_SECONDS
        while (holds := await self.screen.atspi.text(node)) != value and loop.time() < until:
            if holds and not holds.strip(BULLETS):
                break  # a password is not read
            await asyncio.sleep(0.01)
        return holds

    async def _focused(self, item: Item) -> None:
        """Wait until the keyboard is where was clicked, `FOCUS_SECONDS` at most.

        The window manager holds a click back until it has raised the window; keys would overtake it.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + FOCUS_SECONDS
        while item.node is not None and loop.time() < until:
            if await self._has_keyboard(item):
                return
            await asyncio.sleep(0.01)

    async def _enabled(self, item: Item) -> bool:
        """Whether it takes clicks now, or soon does: a dialog looks at what was typed before it lets it be
        saved."""
        loop = asyncio.get_running_loop()
        until = loop.time() + FOCUS_SECONDS
        while item.node is not None and loop.time() < until:
            if State.SENSITIVE in await self.screen.atspi.states(item.node):
                return True
            await asyncio.sleep(0.01)
        return False

    async def _has_keyboard(self, item: Item) -> bool:
        """Whether what is typed goes there."""
        if item.node is None or not (item.popup or self.screen.windows.active() == item.window):
            return False
        with suppress(Silent):
            return State.FOCUSED in await self.screen.atspi.states(item.node)
        return False

    async def _slide(self, ref: int, item: Item, value: str) -> None:
        assert item.node is not None
        try:
            number = float(value)
        except ValueError as error:
            raise ActionFailed(f"{self._say(ref)} takes a number") from error
        await self.screen.atspi.set(item.node, "Value", "CurrentValue", Variant("d", number))
        holds = await self.screen.atspi.get(item.node, "Value", "CurrentValue")
        if abs(holds - number) > 1e-6:
            raise ActionFailed(f"{self._say(ref)} now holds {holds:g}")

    async def _select_option(self, target: Target, options: str | tuple[str, ...]) -> None:
        ref, item = self._item(target)
        label, *more = [options] if isinstance(options, str) else options
        if more:
            raise ActionFailed(f"{self._say(ref)} takes one option only")
        if item.element.role != "combobox":
            raise ActionFailed(f"{self._say(ref)} is no list to choose from; click the option")
        if label not in item.element.options:
            offered = ", ".join(quote(shorten(o, 30)) for o in item.element.options[:20])
            raise ActionFailed(f"{self._say(ref)} has no {quote(label)}; it offers {offered}")
        if "expanded" not in item.element.states:
            await self._click(target)
            await self.settle()
        await self.look()
        again = next((e for e in self._elements() if e.role == "option" and e.name == label), None)
        if again is None or again.ref is None:
            await self.screen.input.press("Escape")
            raise ActionFailed(f"{quote(label)} could not be reached; open the list by a click")
        await self._click(again.ref)

    def _elements(self) -> Sequence[Element]:
        return self._last.elements if self._last is not None else ()

    async def _press(self, target: Target, key: str) -> None:
        ref, item = self._item(target)
        assert item.node is not None
        self.suits(next((w for w in self.screen.windows.stacked() if w.id == item.window), None))
        if self.screen.windows.active() != item.window and not item.popup:
            self.screen.windows.focus(item.window)
            await self.settle()
        if not await self.screen.atspi.ask(item.node, "Component", "GrabFocus"):
            raise ActionFailed(f"{self._say(ref)} takes no keys")
        await self.drained()
        await self.screen.input.press(key)

    async def _keyboard_press(self, key: str) -> None:
        await self.screen.input.press(key)

    async def _keyboard_type(self, text: str) -> None:
        focused = self._last.find(self._last.focused) if self._last and self._last.focused else None
        writes = focused is not None and focused.role in FIELDS and "readonly" not in focused.states
        buttons = {element.name for element in self._elements() if element.role == "button"}
        pressing = set() if writes else buttons & set(text)  # into a field any character is just typed
        for piece in _apart(text, pressing):
            await self.screen.input.type(piece)
            if pressing:
                await asyncio.sleep(FLASH_SECONDS)

    async def _drag_and_drop(self, source: Target, target: Target) -> None:
        await self._drag(await self._point(source), await self._point(target))

    async def _drag(self, *points: tuple[float, float]) -> None:
        """In small steps, as a hand does: what is dragged must be seen to move."""
        way = [points[0]]
        for (x, y), (to_x, to_y) in zip(points, points[1:], strict=False):
            way += [(x + (to_x - x) * part / 5, y + (to_y - y) * part / 5) for part in range(1, 6)]
        await self.screen.input.drag(way)
        self._mouse = points[-1]

    async def _upload_file(self, target: Target, path: str) -> None:
        raise ActionFailed("a desktop has no file fields; use the application's own dialog")

    async def _scroll(self, dx: float, dy: float, target: Target | None = None) -> None:
        if target is not None:
            self._mouse = await self._point(target)
        if self._mouse is None:
            front = self._front()
            self._mouse = front.inside.centre if front else self._start.pixels(500, 500)
        self.screen.input.move(*self._mouse)
        self.screen.input.wheel(_notches(dx), _notches(dy))

    async def _select_text(self, text: str) -> None:
        for item in self._items.values():
            if item.element.role == "textbox" and item.node is not None and await self._selected(item, text):
                return
        raise ActionFailed(f"{quote(shorten(text, 60))} is not to be seen in any field")

    async def _selected(self, item: Item, text: str) -> bool:
        """Whether the text stands in this field; it is then selected with the mouse."""
        assert item.node is not None
        atspi = self.screen.atspi
        start = (await atspi.text(item.node)).find(text)
        if start < 0:
            return False
        ends = []
        for at in (start, start + len(text) - 1):
            ends.append(await atspi.ask(item.node, "Text", "GetCharacterExtents", "iu", at, 0))
        (x, y, _, height), (last_x, last_y, last_width, last_height) = ends
        await self._drag((x + 1, y + height / 2), (last_x + last_width, last_y + last_height / 2))
        return True

    def _front(self) -> Window | None:
        active = self.screen.windows.active()
        return next((w for w in self.screen.windows.stacked() if w.id == active), None)

    async def _mouse_click(self, x: float, y: float) -> None:
        self._mouse = self._pixels(x, y)
        self.screen.input.click(*self._mouse)

    async def _mouse_move(self, x: float, y: float) -> None:
        self._mouse = self._start.pixels(x, y)
        self.screen.input.move(*self._mouse)

    async def _mouse_path(self, points: tuple[float, ...]) -> None:
        way = [self._pixels(x, y) for x, y in zip(points[::2], points[1::2], strict=True)]
        await self.screen.input.drag(way)
        self._mouse = way[-1]

    async def _mouse_drag_and_drop(self, from_x: float, from_y: float, to_x: float, to_y: float) -> None:
        await self._drag(self._pixels(from_x, from_y), self._pixels(to_x, to_y))

    async def _goto(self, url: str) -> None:
        try:
            where = origin(url if ":" in url else f"app:{url}")
        except ValueError as error:
            raise ActionFailed(f"{shorten(url)} is no application's address") from error
        allowed = self._start.origins or (origin(self._start.url),)
        if where == DESKTOP:
            return
        if "*" not in allowed and where not in allowed:
            may = ", ".join(o for o in allowed if o != DESKTOP) or "none"
            raise ActionFailed(f"{shorten(url)} may not be opened; applications that may: {may}")
        running = next((w for w in self.screen.windows.stacked() if self._called(w) == where), None)
        if running is not None and "?" not in url:
            self.screen.windows.focus(running.id)
        else:
            await self.launch(url)

    def _called(self, window: Window) -> str:
        return f"app:{name_of(window.pid, self.screen.launched, window.kind)}" if not window.popup else ""

    async def _go_back(self) -> None:
        raise ActionFailed('a desktop has no page before; try keyboard_press("Control+z"), or tab_focus')

    async def _tab_focus(self, index: float) -> None:
        ids = self.screen.windows.ids()
        if not 0 <= index < len(ids) or index != int(index):
            raise ActionFailed(f"there is no window {index:g}; there are {len(ids)}, from 0")
        self.screen.windows.focus(ids[int(index)])

    async def _tab_close(self) -> None:
        active = self.screen.windows.active()
        if not active:
            raise ActionFailed("no window is in front")
        self.screen.windows.close(active)

    async def _noop(self, milliseconds: float = 0) -> None:
        await asyncio.sleep(max(0.0, min(10_000.0, milliseconds)) / 1000)


def _apart(text: str, keys: Set[str]) -> list[str]:
    """The text in pieces in which none of these characters comes twice."""
    pieces = [""]
    for character in text:
        if character in keys and character in pieces[-1]:
            pieces.append("")
        pieces[-1] += character
    return pieces


def _notches(pixels: float) -> int:
    pixels = max(-FARTHEST, min(FARTHEST, pixels))
    return 0 if not pixels else round(pixels / NOTCH) or (1 if pixels > 0 else -1)
