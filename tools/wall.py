"""Where an episode's pages may go: a wall that no link, script or redirect leads through.

    wall = Wall(start)
    context = await chromium.new_context(proxy=wall.proxy())
    await wall.around(context)
    ...
    wall.blocked                 # where the tab wanted to go, and was kept from

What is not allowed is stopped twice: by routes, which keep the page where it is, and by a proxy that is not
there, since Playwright shows neither redirects nor WebSockets to a route, and a redirect carries data out.

Not covered: which actions may be done (`guard.py`), what a downloaded file does, DNS.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, Error, ProxySettings, Request, Route

from tools.environment import Start, beside, origin
from tools.observation import shorten

READING = frozenset({"GET", "HEAD"})
NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody answers


class Wall:
    """Of one episode: its origins, and what it kept from going out since `forget`."""

    def __init__(self, start: Start) -> None:
        self.origins = tuple(start.origins) or (origin(start.url),)
        self._start = start
        self.forget()

    def forget(self) -> None:
        """An action begins."""
        self.blocked: str | None = None  # where a tab wanted to go
        self.failed: str | None = None  # what did not load, or was not sent, in words
        self._moved = False  # whether a tab went anywhere

    @property
    def open(self) -> bool:
        """Whether there is none."""
        return "*" in self.origins

    def allowed(self, url: str) -> bool:
        """Whether a tab or frame may be there. Raises ValueError for what is no URL."""
        if self.open or url.startswith(("about:", "blob:", "data:")):
            return True
        return origin(url) in self.origins and (not url.startswith("file:") or beside(url, self._start.url))

    def outside(self, url: str) -> str:
        """In words, that it may not."""
        if url.startswith("file:") and "file://" in self.origins:
            return f"{shorten(url)} is outside the folder of the first page"
        return f"{shorten(url)} is outside the allowed origins: {', '.join(self.origins)}"

    def proxy(self) -> ProxySettings | None:
        """One that is not there, for all but the allowed origins."""
        if self.open:
            return None
        split = (urlsplit(o) for o in self.origins if o.startswith("http"))
        open_to = (s.netloc if s.port else f"{s.netloc}:{443 if s.scheme == 'https' else 80}" for s in split)
        return {"server": NOWHERE, "bypass": ",".join(open_to)}

    async def around(self, context: BrowserContext) -> None:
        """Stand around a context. Only what is NOT allowed comes to Python, so the rest costs nothing."""
        if not self.open:
            allowed = "|".join(map(re.escape, self.origins))
            await context.route(re.compile(rf"^(?!(?:{allowed})(?:[/?#]|$)|data:|blob:|about:)"), self._block)
            if "file://" in self.origins:
                folder = re.escape(self._start.url.rpartition("/")[0])
                await context.route(re.compile(rf"^(?!{folder}/)file:"), self._block_elsewhere)
        if not self._start.writes:
            await context.route("**/*", self._read_only)
            await context.route_web_socket("**", lambda socket: socket.close())

    def requested(self, request: Request) -> None:
        """A request is on its way."""
        self._moved |= request.is_navigation_request() and self.allowed(request.url) and _of_tab(request)

    def request_failed(self, request: Request) -> None:
        """A request has failed: by the proxy, where it was led out by a redirect, or by itself."""
        failure = request.failure or ""
        if not request.is_navigation_request() or "ERR_ABORTED" in failure:
            return
        if self.allowed(request.url):
            self.failed = f"{request.url} did not load ({failure})"
        else:
            self._kept_in(request)

    async def _read_only(self, route: Route) -> None:
        if route.request.method in READING:
            await route.fallback()  # another route may yet refuse it
            return
        self.failed = f"{shorten(route.request.url)} was not sent: here it is only read, never written"
        await route.abort("aborted")  # the page stays where it is

    async def _block(self, route: Route) -> None:
        if route.request.is_navigation_request():
            self._kept_in(route.request)
            await route.abort("aborted")  # the page stays where it is
        else:
            await route.abort("blockedbyclient")

    async def _block_elsewhere(self, route: Route) -> None:
        """Pages and frames are files of the start's folder; pictures and styles may lie elsewhere."""
        if route.request.is_navigation_request() and not self.allowed(route.request.url):
            await self._block(route)
        else:
            await route.fallback()

    def _kept_in(self, request: Request) -> None:
        """A frame left empty on a page just opened, an advertisement say, is no failure of what was done."""
        if _of_tab(request) or not self._moved:
            self.blocked = request.url


def _of_tab(request: Request) -> bool:
    """Whether it is for a whole tab and not for a frame in it."""
    try:
        return request.frame.parent_frame is None
    except Error:  # a new tab, which has no frame yet
        return True
