"""A Linux desktop as an environment: the same looks and actions as in a browser, on a private X11 display.

    async with Desktops() as desktops:
        env = desktops.environment()
        look = await env.reset(Start("app:mousepad"))
        look = await env.step(parse('fill(textbox(""), "Dear Ada,")'))

Each reset is a desktop started anew (display, bus, window manager, home folder), so that nothing is left of
the episode before. `goto("app:galculator")` opens an application; windows are tabs. What is done is real
input; an element is looked up again before it is acted on, and tested for what lies over it.

A window is moved by dragging its title bar, `mouse_drag_and_drop`. An application that crashes or hangs is
told of in the step's error, and closed.

Not covered: the desktop's parts (`tools/x11/`); the person's own display (`own_desktop.py`); the crash of
what an application has opened itself (an editor from the file manager): only that learns the exit code.
"""

from __future__ import annotations

import asyncio
import io
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from PIL import Image

from tools.actions import Action
from tools.environment import ActionFailed, EnvironmentDown, Start, origin
from tools.observation import MAX_ELEMENTS, Element, Observation, Table
from tools.x11 import accessibility, menus
from tools.x11.acting import Acting
from tools.x11.applications import DESKTOP, NotOpened, command, name_of
from tools.x11.atspi import Silent
from tools.x11.input import NoKey
from tools.x11.layout import Item
from tools.x11.quiet import at_work, family, spent
from tools.x11.screen import LOST, Screen
from tools.x11.session import Session

ACTION_SECONDS = (
    20.0  # each burst of a long text waits for the application, and a busy machine keeps it waiting
)
OPEN_SECONDS = 20.0
SETTLE_SECONDS = 2.0
STARVED_SECONDS = 10.0  # on a machine that others keep busy
STILL_SECONDS = 0.06  # without a changed pixel
LOOKS = 4  # at a screen that does not rest meanwhile
HANG_SECONDS = 8.0  # after which an application that answers nothing is closed


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


class DesktopEnvironment(Acting):
    """One desktop at a time. Implements `Environment`."""

    closes = True  # whether an application that hangs is closed

    def __init__(self) -> None:
        self._screen: Screen | None = None
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
    def screen(self) -> Screen:
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
        try:
            self._screen = await self._begun(start)
            await asyncio.wait_for(self._managed(), OPEN_SECONDS)
            if origin(start.url) != DESKTOP:
                await self.launch(start.url)
        except ActionFailed as error:
            raise EnvironmentDown(str(error)) from error
        except TimeoutError as error:
            raise EnvironmentDown("the window manager did not come up; see `shopfloor doctor`") from error

    async def _begun(self, start: Start) -> Screen:
        """The desktop, on which nothing is open yet. Raises EnvironmentDown."""
        session = await Session.start(start.viewport, Path(start.files).absolute() if start.files else None)
        screen = await Screen.connected(session, self.drained)
        width, height = start.viewport
        screen.input.move(width - 1, height - 1)  # over nothing
        return screen

    async def launch(self, url: str) -> None:
        """Open an application by its address, allowed or not. Raises ActionFailed."""
        try:
            name, argv = command(url, self.home, self.screen.session.inside)
        except NotOpened as error:
            raise ActionFailed(str(error)) from error
        await self.run(name, argv)

    async def run(self, name: str, argv: Sequence[str], out: Path | None = None) -> int:
        """Start a program as the application `name` and wait for its window; its process. For suites: no list
        is asked. What it prints goes to the file `out`. Raises ActionFailed.

        One that ends well may have handed on what it was to open to one that runs already (a file manager
        does), whose window comes after that end."""
        before = {*self.screen.windows.ids()}
        pid = await self.screen.session.run([*argv], out)
        self.screen.launched[pid] = name
        until = asyncio.get_running_loop().time() + OPEN_SECONDS
        while not {*self.screen.windows.ids()} - before:
            code = self.screen.session.exited.get(pid)
            if code or asyncio.get_running_loop().time() > until:
                self.screen.ended.add(pid)
                why = f"ended with {_said(code)}" if code else "opened no window"
                raise ActionFailed(f"{name} {why}")
            await asyncio.sleep(0.02)
        await self.settle()
        return pid

    @property
    def aside(self) -> Path:
        """A folder of this desktop's own, outside the home folder."""
        return self.screen.session.folder

    def titles(self, app: str | None = None) -> tuple[str, ...]:
        """What the windows are called, asked of the X server; of an application, those that its own program
        shows."""
        windows = self.screen.windows
        if app is None:
            return tuple(map(windows.title, windows.ids()))
        return tuple(w.title for w in windows.stacked() if not w.popup and self._shown_by(w.pid) == app)

    def _shown_by(self, pid: int) -> str:
        return name_of(pid, self.screen.launched, "")

    async def displayed(self, app: str) -> str:
        """What an application's first field that can't be edited shows, read afresh."""
        screen = self.screen
        windows, active = screen.windows.stacked(), screen.windows.active()
        reading = await accessibility.read(screen.atspi, windows, active, self._start.viewport)
        own = (i for i in reading.items if i.pid and self._shown_by(i.pid) == app)
        shown = (i.element for i in own if "readonly" in i.element.states)
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
            await asyncio.wait_for(self.act(action), limit)
        except (ActionFailed, NoKey) as failed:
            error = str(failed)
        except Silent:
            error = "the application went away or does not answer"
        except TimeoutError:
            error = f"{action} took too long"
        except LOST:
            pass  # found out below
        except EnvironmentDown:  # likewise, where it died while it was asked for something
            if self.screen.session.alive:
                raise
        revived = await self._revive()
        if not revived:
            await self.settle()
        seen = await self.observe()
        if revived or seen.restarted:
            return self._with(seen, error or "the desktop died and was started again", True)
        return self._with(seen, await self._casualties() or error)

    async def observe(self) -> Observation:
        for broken in (False, False, True):  # what can't be looked at twice is started again
            revived = await self._revive(broken)
            try:
                seen = await self.look()
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
        """Wait until applications answer, none of their processes is at work and no pixel changes.

        Two seconds at most, while they get a processor: where others keep it, they are waited for.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        had = spent(self._processes())
        with suppress(*LOST):
            last = self.screen.grab().tobytes()
            while True:
                await self.drained()
                await asyncio.sleep(STILL_SECONDS)
                working = at_work(self._processes())
                now = self.screen.grab().tobytes()
                if now == last and not working:
                    return
                last, passed = now, loop.time() - begun
                starved = working and spent(self._processes()) - had < passed / 2
                if passed > (STARVED_SECONDS if starved else SETTLE_SECONDS):
                    return

    def _processes(self) -> list[int]:
        """Those whose work may change the screen."""
        return [*family(self.screen.session.roots)]

    async def drained(self) -> None:
        """Wait until each application has done what it had before it: it answers a question put after."""
        atspi = self.screen.atspi
        with suppress(Silent):
            shown = {window.pid for window in self.screen.windows.stacked()}
            asked = [node for node, pid in await atspi.applications() if pid in shown]
            await asyncio.gather(*(atspi.role(node) for node in asked), return_exceptions=True)

    async def _revive(self, broken: bool = False) -> bool:
        """Start again what has died, or is known to be broken. True when it was."""
        if self.screen.session.alive and not broken:
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
            del self._hung[pid]
            if not self.closes:
                return f"{name} has not answered for {HANG_SECONDS:g} s; only the person may close it"
            screen.ended |= {*screen.launched}  # whichever of them it was is no crash
            await screen.session.end(pid)
            return f"{name} did not answer for {HANG_SECONDS:g} s and was closed"
        return None

    # ---- looking -----------------------------------------------------------------------------------------

    async def marks(self) -> dict[str, bool]:
        """What the check and radio items of all menus say, open or not; by role and name."""
        try:
            return await menus.marks(self.screen.atspi)
        except Silent:
            return {}

    async def peek(self) -> Observation:
        """A look that leaves what refs mean as it was: for whoever checks, not for whoever acts."""
        last, items = self._last, self._items
        try:
            return await self.look()
        finally:
            self._last, self._items = last, items

    async def look(self) -> Observation:
        """Elements and picture of one moment: nothing on the screen moved while the trees were read.

        A screen that never rests (a clip, a clock) is read `LOOKS` times; then the last pair stands, its
        picture taken right after its elements were read. What is acted on is looked up again all the same.
        """
        screen, viewport = self.screen, self._start.viewport
        before = screen.grab()
        for _ in range(LOOKS):
            windows, active = screen.windows.stacked(), screen.windows.active()
            reading = await accessibility.read(screen.atspi, windows, active, viewport)
            picture = screen.grab()
            if picture.tobytes() == before.tobytes() and screen.windows.active() == active:
                break
            await self.settle()
            before = screen.grab()
        self._note(reading.silent | await screen.pulse.silent(windows))
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

    def _note(self, silent: Iterable[int]) -> None:
        """Since when each application that does not answer has not."""
        now = asyncio.get_running_loop().time()
        self._hung = {pid: self._hung.get(pid, now) for pid in silent}

    def _with(self, seen: Observation, error: str | None, restarted: bool = False) -> Observation:
        self._last = replace(seen, error=error, restarted=restarted or seen.restarted)
        return self._last


def _png(picture: Image.Image) -> bytes:
    made = io.BytesIO()
    picture.save(made, "PNG", compress_level=1)
    return made.getvalue()


def _said(code: int) -> str:
    number = -code if code < 0 else code - 128
    return signal.Signals(number).name if number in {*signal.Signals} else f"exit code {code}"
