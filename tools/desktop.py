"""A Linux desktop as an environment: the same looks and actions as in a browser, on a private X11 display.

    async with Desktops() as desktops:
        env = desktops.environment()
        look = await env.reset(Start("app:mousepad"))
        look = await env.step(parse('fill(textbox(""), "Dear Ada,")'))

Each reset is a desktop started anew (display, bus, window manager, home folder), so that nothing is left of
the episode before. `goto("app:galculator")` opens an application; windows are tabs. What is done is real
input; an element is looked up again before it is acted on, and tested for what lies over it.

Not covered: the desktop's parts (`tools/x11/`); a person's own display, Wayland, macOS, Windows: each would
be another environment like this one.
"""

from __future__ import annotations

import asyncio
import io
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from dbus_fast import Variant
from PIL import Image, ImageGrab
from Xlib.display import Display
from Xlib.error import ConnectionClosedError, DisplayConnectionError

from tools.actions import FINAL, Action, Target, quote
from tools.environment import ActionFailed, EnvironmentDown, Start, origin
from tools.observation import MAX_ELEMENTS, Box, Element, Observation, Table, shorten
from tools.x11 import accessibility
from tools.x11.accessibility import FIELDS, Item, Reading, topmost
from tools.x11.applications import DESKTOP, NotOpened, command, name_of
from tools.x11.atspi import AtSpi, Node, Silent, State
from tools.x11.input import Input, NoKey
from tools.x11.session import Session
from tools.x11.windows import Window, Windows

ACTION_SECONDS = (
    20.0  # each burst of a long text waits for the application, and a busy machine keeps it waiting
)
OPEN_SECONDS = 20.0
SETTLE_SECONDS = 2.0
STILL_SECONDS = 0.06  # without a changed pixel
FOCUS_SECONDS = 2.0  # for what was typed or clicked to arrive
HANG_SECONDS = 8.0  # after which an application that answers nothing is closed
NOTCH = 60.0  # pixels that one notch of the wheel scrolls, in most applications
BULLETS = "●•*"  # what toolkits show of a password
LOST = (ConnectionClosedError, DisplayConnectionError)


class Desktops:
    """Any number of private desktops, side by side; none is started before its first reset."""

    def __init__(self) -> None:
        self._environments: list[DesktopEnvironment] = []

    async def __aenter__(self) -> Desktops:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(environment.close() for environment in self._environments))

    def environment(self) -> DesktopEnvironment:
        made = DesktopEnvironment()
        self._environments.append(made)
        return made


class _Screen:
    """What is had of one running desktop: its processes, and the connections to them."""

    def __init__(
        self, session: Session, atspi: AtSpi, drained: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self.session = session
        self.atspi = atspi
        self.display = Display(session.display)
        self.windows = Windows(self.display)
        self.input = Input(self.display, drained)
        self.launched: dict[int, str] = {}  # process: application
        self.ended: set[int] = set()  # processes whose end has been told of

    def grab(self) -> Image.Image:
        return ImageGrab.grab(xdisplay=self.session.display)

    async def close(self) -> None:
        self.atspi.close()
        with suppress(*LOST):
            self.display.close()
        await self.session.stop()


class DesktopEnvironment:
    """One desktop at a time. Implements `Environment`."""

    def __init__(self) -> None:
        self._screen: _Screen | None = None
        self._start = Start(DESKTOP)
        self._clear()

    def _clear(self) -> None:
        self._last: Observation | None = None
        self._items: dict[int, Item] = {}
        self._mouse: tuple[float, float] | None = None
        self._hung: dict[int, float] = {}  # process: since when it has not answered

    # ---- the seam ----------------------------------------------------------------------------------------

    @property
    def home(self) -> Path:
        """The folder that applications find as theirs."""
        return self.screen.session.home

    @property
    def screen(self) -> _Screen:
        if self._screen is None:
            raise EnvironmentDown("no desktop is running; call reset first")
        return self._screen

    async def reset(self, start: Start) -> Observation:
        await self.open(start)
        return await self.observe()

    async def open(self, start: Start) -> None:
        """A reset without the look, for whoever has more to put there first. Raises EnvironmentDown."""
        await self.close()
        self._start = start
        session = await Session.start(start.viewport, Path(start.files).absolute() if start.files else None)
        try:
            atspi = await AtSpi.connect(session.bus)
        except BaseException:
            await session.stop()
            raise
        self._screen = _Screen(session, atspi, self._drained)
        try:
            await asyncio.wait_for(self._managed(), OPEN_SECONDS)
            width, height = start.viewport
            self._screen.input.move(width - 1, height - 1)  # over nothing
            if origin(start.url) != DESKTOP:
                await self.launch(start.url)
        except ActionFailed as error:
            raise EnvironmentDown(str(error)) from error
        except TimeoutError as error:
            raise EnvironmentDown("the window manager did not come up; see `shopfloor doctor`") from error

    async def launch(self, url: str) -> None:
        """Open an application by its address, allowed or not. Raises ActionFailed."""
        try:
            name, argv = command(url, self.home, self.screen.session.inside)
        except NotOpened as error:
            raise ActionFailed(str(error)) from error
        await self.run(name, argv)

    async def run(self, name: str, argv: Sequence[str], out: Path | None = None) -> int:
        """Start a program as the application `name` and wait for its window; its process. For suites: no list
        is asked. What it prints goes to the file `out`. Raises ActionFailed."""
        before = {*self.screen.windows.ids()}
        pid = await self.screen.session.run([*argv], out)
        self.screen.launched[pid] = name
        until = asyncio.get_running_loop().time() + OPEN_SECONDS
        while not {*self.screen.windows.ids()} - before:
            code = self.screen.session.exited.get(pid)
            if code is not None or asyncio.get_running_loop().time() > until:
                self.screen.ended.add(pid)
                why = "opened no window" if code is None else f"ended with {_said(code)}"
                raise ActionFailed(f"{name} {why}")
            await asyncio.sleep(0.02)
        await self.settle()
        return pid

    @property
    def aside(self) -> Path:
        """A folder of this desktop's own, outside the home folder."""
        return self.screen.session.folder

    def titles(self) -> tuple[str, ...]:
        """What the windows are called, asked of the X server."""
        return tuple(map(self.screen.windows.title, self.screen.windows.ids()))

    async def displayed(self) -> str:
        """What the first field that can't be edited shows, read afresh."""
        screen = self.screen
        windows, active = screen.windows.stacked(), screen.windows.active()
        reading = await accessibility.read(screen.atspi, windows, active, self._start.viewport)
        shown = (i.element for i in reading.items if "readonly" in i.element.states)
        return next((element.value or "" for element in shown), "")

    def exit_code(self, pid: int) -> int | None:
        """How a process ended that `run` began; None while it goes on."""
        return self.screen.session.exited.get(pid)

    async def step(self, action: Action) -> Observation:
        if await self._revive():
            seen = await self.observe()
            return self._with(
                seen, f"the desktop had died and was started again; {action} was not done", True
            )
        error: str | None = None
        limit = ACTION_SECONDS + (OPEN_SECONDS if action.name == "goto" else 0)
        if action.name in ("fill", "keyboard_type"):
            limit += len(str(action.args[-1])) / 20
        if action.name == "noop":
            limit += 10
        try:
            await asyncio.wait_for(self._perform(action), limit)
        except (ActionFailed, NoKey) as failed:
            error = f"there is no key {quote(str(failed))}" if isinstance(failed, NoKey) else str(failed)
        except Silent:
            error = "the application went away or does not answer"
        except TimeoutError:
            error = f"{action} took too long"
        except LOST:
            pass  # found out below
        if await self._revive():
            return self._with(await self.observe(), error or "the desktop died and was started again", True)
        await self.settle()
        return self._with(await self.observe(), await self._casualties() or error)

    async def observe(self) -> Observation:
        for _ in range(3):
            revived = await self._revive()
            try:
                seen = await self._look()
                return replace(seen, restarted=True) if revived else seen
            except (*LOST, Silent):
                continue
        raise EnvironmentDown("the desktop can't be looked at; it dies every time")

    async def tables(self) -> list[Table]:
        return []

    async def close(self) -> None:
        screen, self._screen = self._screen, None
        self._clear()
        if screen is not None:
            await screen.close()

    # ---- settling, mending -------------------------------------------------------------------------------

    async def _managed(self) -> None:
        while not self.screen.windows.ready():
            await asyncio.sleep(0.01)

    async def settle(self) -> None:
        """Wait until applications answer and no pixel changes; at most two seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + SETTLE_SECONDS
        with suppress(*LOST, OSError):
            last = self.screen.grab().tobytes()
            while loop.time() < until:
                await self._drained()
                await asyncio.sleep(STILL_SECONDS)
                now = self.screen.grab().tobytes()
                if now == last:
                    return
                last = now

    async def _drained(self) -> None:
        """Wait until each application has done what it had before it: it answers a question put after."""
        atspi = self.screen.atspi
        with suppress(Silent):
            shown = {window.pid for window in self.screen.windows.stacked()}
            asked = [node for node, pid in await atspi.applications() if pid in shown]
            await asyncio.gather(*(atspi.role(node) for node in asked), return_exceptions=True)

    async def _revive(self) -> bool:
        """Start again what has died. True when it had."""
        if self.screen.session.alive:
            try:
                self.screen.display.sync()
                return False
            except LOST:
                pass
        await self.open(self._start)
        return True

    async def _casualties(self) -> str | None:
        """What became of applications: one that crashed is told of, one that hangs is closed."""
        screen, now = self.screen, asyncio.get_running_loop().time()
        for pid, name in screen.launched.items():
            code = screen.session.exited.get(pid)
            if code is not None and pid not in screen.ended:
                screen.ended.add(pid)
                if code < 0 or code > 128:  # a shell, and bubblewrap too, say 128 and the signal
                    return f"{name} crashed ({_said(code)})"
        for pid, since in [*self._hung.items()]:
            window = next((w for w in screen.windows.stacked() if w.pid == pid), None)
            if window is None:
                del self._hung[pid]
                continue
            name = name_of(pid, screen.launched, window.kind)
            if now - since < HANG_SECONDS:
                return f"{name} does not answer"
            screen.ended |= {*screen.launched}  # whichever of them it was is no crash
            del self._hung[pid]
            await screen.session.end(pid)
            return f"{name} did not answer for {HANG_SECONDS:g} s and was closed"
        return None

    # ---- looking -----------------------------------------------------------------------------------------

    async def _look(self) -> Observation:
        """Elements and picture of one moment: nothing on the screen moved while the trees were read."""
        screen, viewport = self.screen, self._start.viewport
        before = screen.grab()
        for _ in range(4):
            windows, active = screen.windows.stacked(), screen.windows.active()
            reading = await accessibility.read(screen.atspi, windows, active, viewport)
            picture = screen.grab()
            if picture.tobytes() == before.tobytes() and screen.windows.active() == active:
                break
            await self.settle()
            before = screen.grab()
        self._note(reading)
        elements: list[Element] = []
        items: dict[int, Item] = {}
        focused, hidden = None, reading.hidden
        for at, item in enumerate(reading.items):
            if len(elements) >= MAX_ELEMENTS:
                hidden += len(reading.items) - at
                break
            ref = len(items) + 1 if item.node is not None else None
            if ref is not None:
                items[ref] = item
                focused = ref if item.focused and item.window == active else focused
            elements.append(replace(item.element, ref=ref))
        ids = screen.windows.ids()
        front = next((w for w in windows if w.id == active), None)
        self._items = items
        self._last = Observation(
            url=f"app:{name_of(front.pid, screen.launched, front.kind)}" if front else DESKTOP,
            title=front.title if front else "Desktop",
            viewport=viewport,
            elements=tuple(elements),
            screenshot=_png(picture),
            focused=focused,
            tabs=tuple(screen.windows.title(id) for id in ids) if len(ids) > 1 else (),
            tab=ids.index(active) if active in ids else 0,
            hidden=hidden,
        )
        return self._last

    def _note(self, reading: Reading) -> None:
        """Since when each application that does not answer has not."""
        now = asyncio.get_running_loop().time()
        self._hung = {pid: self._hung.get(pid, now) for pid in reading.silent}

    def _with(self, seen: Observation, error: str | None, restarted: bool = False) -> Observation:
        self._last = replace(seen, error=error, restarted=restarted or seen.restarted)
        return self._last

    # ---- acting ------------------------------------------------------------------------------------------

    async def _perform(self, action: Action) -> None:
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
        return x, y

    async def _place(self, ref: int, item: Item) -> Box:
        box = await accessibility.place(self.screen.atspi, item)
        if box is None:
            raise ActionFailed(f"{self._say(ref)} is gone")
        return box

    async def _click(self, target: Target, count: int = 1) -> None:
        ref, item = self._item(target)
        if "disabled" in item.element.states:
            raise ActionFailed(f"{self._say(ref)} is disabled")
        self._mouse = await self._point(target)
        self.screen.input.click(*self._mouse, count=count)

    async def _dblclick(self, target: Target) -> None:
        await self._click(target, 2)

    async def _hover(self, target: Target) -> None:
        self._mouse = await self._point(target)
        self.screen.input.move(*self._mouse)

    async def _fill(self, target: Target, value: str) -> None:
        ref, item = self._item(target)
        role, states = item.element.role, item.element.states
        if role == "slider":
            await self._slide(ref, item, value)
            return
        if role not in FIELDS or "readonly" in states:
            raise ActionFailed(f"{self._say(ref)} can't be filled in; click it and type")
        await self._click(target)
        await self._focused(item)
        await self.screen.input.press("Control+a")
        if value:
            await self.screen.input.type(value)
        else:
            await self.screen.input.press("Delete")
        await self._drained()
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
            with suppress(Silent):
                if State.FOCUSED in await self.screen.atspi.states(item.node):
                    return
            await asyncio.sleep(0.01)

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
        await self._look()
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
        if self.screen.windows.active() != item.window and not item.popup:
            self.screen.windows.focus(item.window)
            await self.settle()
        if not await self.screen.atspi.ask(item.node, "Component", "GrabFocus"):
            raise ActionFailed(f"{self._say(ref)} takes no keys")
        await self._drained()
        await self.screen.input.press(key)

    async def _keyboard_press(self, key: str) -> None:
        await self.screen.input.press(key)

    async def _keyboard_type(self, text: str) -> None:
        await self.screen.input.type(text)

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
        self._mouse = self._start.pixels(x, y)
        self.screen.input.click(*self._mouse)

    async def _mouse_move(self, x: float, y: float) -> None:
        self._mouse = self._start.pixels(x, y)
        self.screen.input.move(*self._mouse)

    async def _mouse_path(self, points: tuple[float, ...]) -> None:
        way = [self._start.pixels(x, y) for x, y in zip(points[::2], points[1::2], strict=True)]
        await self.screen.input.drag(way)
        self._mouse = way[-1]

    async def _mouse_drag_and_drop(self, from_x: float, from_y: float, to_x: float, to_y: float) -> None:
        await self._drag(self._start.pixels(from_x, from_y), self._start.pixels(to_x, to_y))

    async def _goto(self, url: str) -> None:
        where = origin(url if ":" in url else f"app:{url}")
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


def _png(picture: Image.Image) -> bytes:
    made = io.BytesIO()
    picture.save(made, "PNG", compress_level=1)
    return made.getvalue()


def _notches(pixels: float) -> int:
    return 0 if not pixels else round(pixels / NOTCH) or (1 if pixels > 0 else -1)


def _said(code: int) -> str:
    number = -code if code < 0 else code - 128
    return signal.Signals(number).name if number in {*signal.Signals} else f"exit code {code}"
