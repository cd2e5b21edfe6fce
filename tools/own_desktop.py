"""The person's own X11 display as an environment: marked while it is worked on, stopped at their first touch.

    async with OwnDesktops(":0") as desktops:
        env = desktops.environment()
        look = await env.reset(Start("app:desktop", ("app:mousepad",)))
        env.watch.begin()
        look = await env.step(parse('goto("app:mousepad")'))

It reads and acts as on a private desktop (`desktop.py`). It closes nothing of the person's, moves the mouse
only to act, never acts in the terminal it was started from, and brings the window that was looked at back to
the front before it types. What was touched by the person is an observation with an error.

Not covered: asking the person first (`apps/session.py`), displays that are not X11 (`x11/own.py`), and
putting back what was changed when this process is killed (SIGKILL). The mark then goes by itself, but
characters stay on spare keys (`setxkbmap` puts the keyboard right) and applications stay readable until the
person logs out.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tools.actions import FINAL, Action
from tools.desktop import DesktopEnvironment, Desktops
from tools.environment import ActionFailed, EnvironmentDown, Start
from tools.observation import Observation
from tools.x11.applications import DESKTOP, lineage
from tools.x11.input import Halted
from tools.x11.own import OwnSession
from tools.x11.screen import LOST, Screen
from tools.x11.watch import Watch
from tools.x11.windows import Window

FRONT_SECONDS = 3.0  # for a window to come back to the front
NOTICE_SECONDS = 0.02


class OwnDesktops(Desktops):
    """The person's one display; whoever asks for an environment gets the same screen."""

    def __init__(self, display: str) -> None:
        super().__init__()
        self._display = display

    def environment(self) -> OwnDesktop:
        made = OwnDesktop(self._display)
        self._environments.append(made)
        return made


class OwnDesktop(DesktopEnvironment):
    """The person's display. Implements `Environment`."""

    closes = False

    def __init__(self, display: str) -> None:
        super().__init__()
        self._display = display
        self._watch: Watch | None = None
        self._front_was = 0  # the window in front at the last look

    @property
    def watch(self) -> Watch:
        if self._watch is None:
            raise EnvironmentDown("no desktop is worked on; call reset first")
        return self._watch

    async def _begun(self, start: Start) -> Screen:
        home = Path(start.files or ".").absolute()
        session = await OwnSession.start(self._display, home)
        try:
            self._watch = Watch(self._display)
        except BaseException:
            await session.stop()
            raise
        try:
            screen = await Screen.connected(session, self.drained, self._watch.may)
        except BaseException:
            self._unwatched()
            raise
        size = screen.display.screen()
        self._start = replace(start, viewport=(size.width_in_pixels, size.height_in_pixels))
        return screen

    async def look(self) -> Observation:
        seen = await super().look()
        self._front_was = self.screen.windows.active()
        return seen

    async def step(self, action: Action) -> Observation:
        """As everywhere; the person's touch ends it at once."""
        await asyncio.sleep(self.watch.grace)
        return await super().step(action)

    async def act(self, action: Action) -> None:
        if action.name in FINAL or (
            action.name == "goto" and str(action.args[0]).partition("?")[0] == DESKTOP
        ):
            return  # nothing is done on the screen
        doing = asyncio.ensure_future(self._acted(action))
        try:
            while not doing.done():
                await asyncio.wait({doing}, timeout=NOTICE_SECONDS)
                self.watch.may()
            await doing
        except Halted as halted:
            raise ActionFailed(f"{halted}; it was stopped") from halted
        finally:
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)

    async def _acted(self, action: Action) -> None:
        self.watch.may()
        if action.name not in ("noop", "goto", "tab_focus"):
            await self._back_in_front()
        await super().act(action)

    def suits(self, window: Window | None) -> None:
        if window is not None and window.pid in lineage(os.getpid()):
            raise ActionFailed("that is the window that this command was started from; open another first")
        super().suits(window)

    async def _back_in_front(self) -> None:
        """What the person did meanwhile, such as answering a question, has taken the window's place."""
        windows, was = self.screen.windows, self._front_was
        self.suits(next((window for window in windows.stacked() if window.id == was), None))
        if not was or windows.active() == was:
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + FRONT_SECONDS
        windows.focus(was)
        while windows.active() != was:
            if loop.time() > until:
                raise ActionFailed("another window has come to the front; look again")
            await asyncio.sleep(0.02)
        await self.settle()

    def _processes(self) -> list[int]:
        return []  # what the person's other applications are at is no reason to wait

    async def _revive(self, broken: bool = False) -> bool:
        try:
            self.screen.display.sync()
            return False
        except LOST as error:
            raise EnvironmentDown(f"display {self._display} has gone") from error

    async def close(self) -> None:
        if self._screen is not None:
            with suppress(*LOST):
                self._screen.input.give_back()
        self._unwatched()
        await super().close()

    def _unwatched(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()
