"""A browser and a desktop in one episode: one environment that holds both, pages and windows as its tabs.

    both = Both(browser.environment(), desktops.environment())
    look = await both.reset(Start("http://127.0.0.1:8000/", ("http://127.0.0.1:8000", "app:gnumeric")))
    look = await both.step(parse('goto("app:gnumeric?sums.gnumeric")'))      # the desktop is in front now
    look = await both.step(parse("tab_focus(0)"))                            # and the page again

The tabs are the pages, then the windows. What is in front is seen and acted on; the other stays as it is.

Not covered: a clipboard between the two. What is copied out of a page is read there and typed here.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from types import TracebackType

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
        self._front = self.page
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
        return self._seen(await self._front.step(action))

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
