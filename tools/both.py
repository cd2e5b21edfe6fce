"""A browser and a desktop in one episode: one environment that holds both, pages and windows as its tabs.

    both = Both(browser.environment(), desktops.environment())
    look = await both.reset(Start("http://127.0.0.1:8000/", ("http://127.0.0.1:8000", "app:gnumeric")))
    look = await both.step(parse('goto("app:gnumeric?sums.gnumeric")'))      # the desktop is in front now
    look = await both.step(parse("tab_focus(0)"))                            # and the page again

The tabs are the pages, then the windows. What is in front is seen and acted on; the other stays as it is.

What was copied last, here or there, is what is pasted on either side: a text copied on the page is offered to
the applications, one that an application has copied is fetched when the page pastes. A secret that is to be
kept out of sight is not handed over.

Not covered: anything but plain text; copying on the page otherwise than by keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from types import TracebackType

from tools import clipboard
from tools.actions import Action
from tools.browser import Browser, BrowserEnvironment
from tools.desktop import DesktopEnvironment, Desktops
from tools.environment import EnvironmentDown, Start
from tools.observation import Observation, Table
from tools.x11.applications import DESKTOP
from tools.x11.screen import LOST


class Boths:
    """Any number of such environments side by side: one Chromium, a desktop for each."""

    def __init__(self) -> None:
        self._browser = Browser()
        self._desktops = Desktops()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Boths:
        await self._stack.enter_async_context(self._browser)
        await self._stack.enter_async_context(self._desktops)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def environment(self) -> Both:
        return Both(self._browser.environment(), self._desktops.environment())


class Both:
    """A page and a desktop. Implements `Environment`."""

    def __init__(self, page: BrowserEnvironment, desktop: DesktopEnvironment) -> None:
        self.page = page
        self.desktop = desktop
        self._front: BrowserEnvironment | DesktopEnvironment = page
        self._pages: tuple[str, ...] = ()
        self._withheld = False  # whether a secret was copied last

    @property
    def hides(self) -> Callable[[str], Iterable[tuple[int, int]]] | None:
        """See `tools.environment.Hiding`; a desktop has no such thing of its own."""
        return self.page.hides

    @hides.setter
    def hides(self, spans: Callable[[str], Iterable[tuple[int, int]]] | None) -> None:
        self.page.hides = spans

    async def reset(self, start: Start) -> Observation:
        """Begins on a page, beside a desktop on which nothing is open. Raises EnvironmentDown."""
        apps = (DESKTOP, *(o for o in start.origins if o.startswith("app:")))
        await self.desktop.open(replace(start, url=DESKTOP, origins=apps))
        return await self.show(start)

    async def show(self, start: Start) -> Observation:
        """Begin on a page, beside the desktop as it is. Raises EnvironmentDown."""
        if start.url.startswith("app:"):
            raise EnvironmentDown(f"a page and a desktop begin on a page, not on {start.url}")
        sites = tuple(o for o in start.origins if not o.startswith("app:"))
        self._front, self._withheld = self.page, False
        return self._seen(await self.page.reset(replace(start, origins=sites)))

    async def step(self, action: Action) -> Observation:
        if action.name == "goto":
            self._front = self.desktop if str(action.args[0]).startswith("app:") else self.page
        elif action.name == "tab_focus":
            index, pages = float(str(action.args[0])), len(self._pages)
            self._front = self.page if index < pages else self.desktop
            if self._front is self.desktop:
                action = Action("tab_focus", (index - pages,))
            elif pages == 1:
                seen = self._seen(await self.page.observe())
                return seen if index == 0 else replace(seen, error=f"there is no tab {index:g}")
        with suppress(*LOST):  # as below
            if (refused := await self._fetched(action)) is not None:
                return refused
        look = await self._front.step(action)
        with suppress(*LOST):
            self._offered(action, look)
        return self._seen(look)

    async def _fetched(self, action: Action) -> Observation | None:
        """Before a paste: on the page, take what an application has copied; the look with an error where what
        was copied is not pasted."""
        if not clipboard.PASTE.fullmatch(_key(action)):
            return None
        held = self.desktop.screen.clipboard
        if self._front is self.page:
            text = await held.text()
            self.page.copied = self.page.copied if text is None else text
        elif self._withheld and held.own:
            return replace(await self.observe(), error=clipboard.WITHHELD)
        return None

    def _offered(self, action: Action, look: Observation) -> None:
        """After a copy on the page: have applications paste it."""
        if self._front is self.page and look.error is None and clipboard.COPY.fullmatch(_key(action)):
            text = self.page.copied
            self._withheld = self.hides is not None and any(True for _ in self.hides(text))
            self.desktop.screen.clipboard.offer("" if self._withheld else text)

    async def observe(self) -> Observation:
        return self._seen(await self._front.observe())

    async def tables(self) -> list[Table]:
        return await self._front.tables()

    async def close(self) -> None:
        await asyncio.gather(self.page.close(), self.desktop.close())

    def _seen(self, look: Observation) -> Observation:
        """The look with everything that is open as its tabs."""
        on_page = self._front is self.page
        if on_page:
            self._pages = look.tabs or (look.title,)
        titles: tuple[str, ...] = ()
        with suppress(*LOST):  # a display that has gone is found out when something is done there
            titles = tuple(self.desktop.titles())
        tabs = (*self._pages, *titles)
        return replace(look, tabs=tabs, tab=look.tab if on_page else look.tab + len(self._pages))


def _key(action: Action) -> str:
    """The keys that an action presses; "" where it presses none."""
    return str(action.args[-1]) if action.name in ("keyboard_press", "press") else ""
