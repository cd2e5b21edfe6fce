"""The browser as an environment: real Chromium through Playwright, one context an episode.

Waits for the page to settle, never a fixed sleep; a failed action is an observation with an error; a crashed
page or browser is started again and the episode goes on. While a JavaScript dialog is open, only it is shown.

    async with Browser() as browser:
        env = browser.environment()
        look = await env.reset(Start("http://127.0.0.1:8000/"))
        look = await env.step(parse('click(button("Save"))'))

Not covered: what is on a page (`elements.py`), where it may go (`wall.py`), which browser and flags
(`chromium.py`), approval. After a whole browser has died cookies are kept, but localStorage and half-filled
forms are lost.
"""

from __future__ import annotations

import asyncio
import base64
import os
import tempfile
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, cast

from playwright.async_api import Browser as Chromium
from playwright.async_api import (
    BrowserContext,
    CDPSession,
    Dialog,
    Download,
    Error,
    Page,
    Playwright,
    Request,
    async_playwright,
)
from playwright.async_api import TimeoutError as ActionTimeout

from tools import clipboard, drawn
from tools.acting import ACTION_SECONDS, LOAD_SECONDS, Acting, why
from tools.actions import Action, quote
from tools.chromium import LAUNCH_ARGS, find_chromium
from tools.elements import INIT, Elements, Look, whole
from tools.environment import ActionFailed, EnvironmentDown, Start, origin
from tools.observation import Box, Element, Observation, Table, shorten
from tools.secrets import painted_over
from tools.wall import READING, Wall

NAVIGATION_SECONDS = 10.0
OPENING_SECONDS = 20.0  # for a tab, or to close one
OPENINGS = 3  # times a tab is tried for
KEY_SECONDS = 0.01  # for each character typed: several times what it takes
SETTLE_SECONDS = 2.0
STILL_SECONDS = 0.5  # for a page that moved while it was looked at
NAVIGATIONS = frozenset({"goto", "go_back"})
REUSES = 50  # episodes in one tab at most: pages leak, and a renderer's memory only grows
LONGEST_NAME = 200  # bytes of a download's name, of the 255 that most disks take
ERROR_PAGE = "chrome-error:"  # the browser's own, where a page does not load
UNWAITED = frozenset({"websocket", "eventsource", "media", "ping"})  # requests that may never end

T = TypeVar("T")


class _Interrupted(Exception):
    """A dialog opened or the page died while something was being done."""


class Browser:
    """One Chromium process, in which many environments may run side by side."""

    def __init__(self, headless: bool = True) -> None:
        self.headless = headless
        self._playwright: Playwright | None = None
        self._chromium: Chromium | None = None
        self._starting = asyncio.Lock()
        self._environments: list[BrowserEnvironment] = []

    async def __aenter__(self) -> Browser:
        await self.chromium()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for environment in [*self._environments]:
            await environment.close()
        if self._chromium is not None and self._chromium.is_connected():
            await self._chromium.close()
        if self._playwright is not None:
            await self._playwright.stop()

    def environment(self, device_scale_factor: float = 1) -> BrowserEnvironment:
        made = BrowserEnvironment(self, device_scale_factor)
        self._environments.append(made)
        return made

    async def chromium(self) -> Chromium:
        """The process, started (again) if it is not running. Raises EnvironmentDown."""
        async with self._starting:
            if self._chromium is not None and self._chromium.is_connected():
                try:
                    async with asyncio.timeout(OPENING_SECONDS):
                        await (await self._chromium.new_browser_cdp_session()).detach()
                    return self._chromium
                except (Error, TimeoutError):  # Playwright's process, which would say so, has gone too
                    gone, self._playwright = self._playwright, None
                    with suppress(Error, TimeoutError):
                        async with asyncio.timeout(OPENING_SECONDS):
                            await cast(Playwright, gone).stop()
            program = find_chromium(self.headless)
            if self._playwright is None:
                self._playwright = await async_playwright().start()
            try:
                self._chromium = await self._playwright.chromium.launch(
                    executable_path=program,
                    headless=self.headless,
                    args=LAUNCH_ARGS,
                    handle_sigint=False,  # Ctrl-C hands over to the person, who needs the page
                )
            except Error as error:
                raise EnvironmentDown(
                    f"{program} does not start: {shorten(error.message, 300)}; try it by hand, "
                    "or set SHOPFLOOR_CHROMIUM to another"
                ) from error
            return self._chromium


class BrowserEnvironment(Acting):
    """One episode's own corner of a browser: cookies, tabs, files. Implements `Environment`."""

    files: Path
    downloads: list[Path]

    def __init__(self, browser: Browser, device_scale_factor: float = 1) -> None:
        self.ignore = ""  # a CSS selector of what is never listed (a harness's own panels)
        self.hides = None  # where in a text a secret stands, once one is known
        self.writes = 0  # requests begun since the reset that were neither GET nor HEAD
        self.downloads = []
        self._browser = browser
        self._scale = device_scale_factor
        self._context: BrowserContext | None = None
        self._used = 0
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._tasks: set[asyncio.Future[Any]] = set()
        self._clear(Start("about:blank"))

    def _clear(self, start: Start, again: bool = False) -> None:
        """Forget the last episode; with `again` its tab stays."""
        self._start = start
        if again:
            self._wall.forget()  # the context's routes lead to this one
        else:
            self._wall = Wall(start)
            self._pages: list[Page] = []
            self._readers: dict[Page, Elements] = {}
            self._sessions: dict[Page, CDPSession] = {}
        self._tab = 0
        self._dialogs: list[Dialog] = []
        self._answer = ""
        self._interrupt = asyncio.Event()
        self._dead = False
        self._requests: set[Request] = set()
        self._endless: set[Request] = set()  # requests that have outlived a settling: a long poll
        self._unsaved: str | None = None  # a download that failed, at its end, which may be steps later
        self._saving: set[asyncio.Future[Any]] = set()
        self._parked: set[asyncio.Future[Any]] = set()
        self._good = start.url
        self.writes = 0
        self._cookies: list[Any] = []
        self._mouse: tuple[float, float] | None = None
        self._leaving: asyncio.Future[None] | None = None  # the mouse, on its way off the page
        self._copied = ""  # what Control+v pastes
        self._look: Look | None = None
        self._last: Observation | None = None

    # ---- the seam ----------------------------------------------------------------------------------------

    @property
    def copied(self) -> str:
        """What Control+v pastes."""
        return self._copied

    @copied.setter
    def copied(self, text: str) -> None:
        self._copied = text

    @property
    def page(self) -> Page:
        """The tab in front."""
        if not self._pages:
            raise EnvironmentDown("no page is open; call reset first")
        return self._pages[self._tab]

    async def reset(self, start: Start) -> Observation:
        await self.open(start)
        return await self.observe()

    async def open(self, start: Start, anew: str | None = None) -> Any:
        """A reset without the look, for whoever has more to do to the page first. Raises EnvironmentDown.

        A page that is there already and can begin afresh by itself need not be loaded again: `anew` is the
        JavaScript expression for that. Returns its value, or None where the page was loaded. It runs while
        storage is being wiped, so it is for pages that begin without storing anything.
        """
        stays = anew if self._pages and self.page.url == start.url else None
        again, value = await self._wiped(start, stays)
        if not again:
            await self._close_context()
            self._used = 0
            self._clear(start)
        self.downloads.clear()
        if start.files is not None:
            self.files = Path(start.files).absolute()
            self.files.mkdir(parents=True, exist_ok=True)
        else:
            self._temporary = tempfile.TemporaryDirectory(prefix="shopfloor-files-")
            self.files = Path(self._temporary.name)
        if not again:
            await self._open(start.url)
            return None
        self._used += 1
        if stays is None:
            await self._go(start.url)
        self._spawn(self._forget_history())
        return value

    async def step(self, action: Action) -> Observation:
        restarted = await self._revive()
        if restarted:
            seen = await self.observe()
            return self._with(seen, f"the browser had died and was started again; {action} was not done")
        self._wall.forget()
        error: str | None = None
        limit = NAVIGATION_SECONDS if action.name in NAVIGATIONS else ACTION_SECONDS
        try:
            if action.name == "noop":
                limit += min(10.0, float(cast(float, (action.args or (0,))[0])) / 1000)
            elif action.name == "keyboard_type":
                limit += KEY_SECONDS * len(str(action.args[0]))
            await self._interruptible(self._perform(action), limit)
        except ActionFailed as failed:
            error = str(failed)
        except _Interrupted:
            pass  # a dialog, which the observation shows, or a dead page, which is opened again below
        except ActionTimeout:
            error = f"{action} took too long"
        except Error as failed:
            if not self._lost(failed):
                error = why(failed)
        await self.settle()
        strayed = await self._strayed(error)
        error = error or strayed
        if await self._revive():
            return self._with(await self.observe(), error or "the page crashed and was opened again", True)
        seen = await self.observe()
        return self._with(seen, error or seen.error)

    async def observe(self) -> Observation:
        revived = await self._revive()
        if self._waiting():
            await self.settle()
        patience, late = 2, None
        for _ in range(5 + patience):
            if self._dialogs:
                return self._remember(self._dialog_observation(), None)
            try:
                seen, look = await self._interruptible(self._observe(), NAVIGATION_SECONDS)
                if self._waiting() and patience > 0:  # a request that began while we looked
                    patience -= 1
                    await self.settle()
                    continue
                if look.url.startswith(ERROR_PAGE):  # what the page had long gone on to has failed only now
                    late = await self._strayed("where this led does not load")
                    continue
                return self._with(self._remember(seen, look), late, revived)
            except _Interrupted:
                revived = await self._revive() or revived
            except ActionFailed:  # no answer in time, or the page went on to another
                await self.settle()
            except Error as error:
                if self._lost(error):
                    revived = await self._revive() or revived
                else:  # the page went on to another meanwhile: wait for that one
                    await self.settle()
        raise EnvironmentDown(f"{self._good} can't be looked at; it dies or moves on every time")

    async def tables(self) -> list[Table]:
        if self._dialogs or await self._revive():
            return []
        try:
            return await self._interruptible(self._readers[self.page].tables(), ACTION_SECONDS)
        except (ActionFailed, _Interrupted):
            return []
        except Error as error:  # the page went on to another, or died: the next look says so
            self._lost(error)
            return []

    async def close(self) -> None:
        await self._close_context()
        with suppress(ValueError):
            self._browser._environments.remove(self)

    async def session(self) -> dict[str, Any]:
        """Who is signed in: cookies and storage, for another `Start`. They are secrets."""
        assert self._context is not None, "reset first"
        return dict(await self._context.storage_state())

    def beside(self) -> BrowserEnvironment:
        """Another environment of the same browser, to look at the app without moving anything here."""
        return self._browser.environment(self._scale)

    async def ask(self, question: str) -> dict[int, Any]:
        """What a JavaScript function answers for each element listed last (its DOM node), by ref."""
        located = self._look.located if self._look is not None else {}
        call = f"(r, ids) => ids.map((id) => ({question})(r.element(id)))"
        answers: dict[int, Any] = {}
        for reader in {where.reader for where in located.values()}:
            of = {ref: where.id for ref, where in located.items() if where.reader == reader}
            answers |= zip(of, await reader.evaluate(call, list(of.values())), strict=True)
        return answers

    # ---- opening and mending -----------------------------------------------------------------------------

    async def _wiped(self, start: Start, anew: str | None) -> tuple[bool, Any]:
        """Whether the tab of the last episode can serve again, all that it left behind wiped; and the value
        of `anew`, by which the page then begins.

        A new context costs a new renderer process, most of a reset's time. Only the plainest case: same
        settings, one tab, one origin, nothing open; anything else gets a new one.
        """
        if self._context is None or not self._pages or self._used >= REUSES:
            return False, None
        same = replace(start, url="", files=None) == replace(self._start, url="", files=None)
        own = self._wall.origins == (origin(start.url),) and not start.origins and start.session is None
        clean = not (
            self._dead or self._dialogs or self._parked or self._saving_now() or len(self._pages) > 1
        )
        if not (same and own and clean and start.url.startswith("http") and "#" not in start.url):
            return False, None
        if origin(self.page.url) != self._wall.origins[0]:
            return False, None
        self._clear(start, again=True)
        storage = {"origin": self._wall.origins[0], "storageTypes": "all"}
        inside = {
            "expression": f"sessionStorage.clear(); window.name = ''; {anew or ''}",
            "awaitPromise": True,
            "returnByValue": True,
        }
        try:
            session = await self._protocol(self.page)
            wiping = asyncio.gather(
                self._context.clear_cookies(),
                session.send("Storage.clearDataForOrigin", storage),
                session.send("Runtime.evaluate", inside),
            )
            wiping.add_done_callback(_heard)
            # Nothing is hovered over at the start. That takes a frame, which the first look shares.
            self._leaving = asyncio.ensure_future(self.page.mouse.move(-1, -1))
            self._leaving.add_done_callback(_heard)
            if not (await asyncio.wait({wiping}, timeout=ACTION_SECONDS))[0]:
                wiping.cancel()  # a page that hangs answers nothing
                return False, None
            *_, answer = wiping.result()
        except Error:
            return False, None
        if "exceptionDetails" in answer:
            return False, None
        self._remove_files()
        return True, answer["result"].get("value") if anew else None

    async def _open(self, url: str) -> None:
        """A fresh context and tab, at `url`. Raises EnvironmentDown."""
        problem = "it died"
        for _ in range(OPENINGS):
            chromium = await self._browser.chromium()
            try:
                async with asyncio.timeout(OPENING_SECONDS):
                    await self._fresh(chromium)
                break
            except (Error, TimeoutError) as error:  # it died just now, before or while it was asked
                problem = shorten(str(error), 200) or problem
                await self._close_context(keep_files=True)
        else:
            raise EnvironmentDown(f"the browser opens no tab ({problem}); is this machine out of memory?")
        await self._go(url)

    async def _fresh(self, chromium: Chromium) -> None:
        """A context and a tab of it."""
        width, height = self._start.viewport
        context = await chromium.new_context(
            viewport={"width": width, "height": height},
            device_scale_factor=self._scale,
            reduced_motion="reduce",
            accept_downloads=True,
            service_workers="block",
            locale="en-US",
            storage_state=cast(Any, self._start.session),
            proxy=self._wall.proxy(),
        )
        self._context = context
        context.set_default_timeout(ACTION_SECONDS * 1000)
        context.set_default_navigation_timeout(NAVIGATION_SECONDS * 1000)
        await context.add_init_script(INIT)
        await context.add_init_script(clipboard.INIT)
        await self._wall.around(context)
        context.on("page", self._opened)
        context.on("dialog", self._asked)
        context.on("request", self._requested)
        context.on("requestfinished", lambda request: self._requests.discard(request))
        context.on("requestfailed", self._request_failed)
        if self._cookies:
            await context.add_cookies(self._cookies)
        self._pages, self._tab = [], 0
        await context.new_page()

    async def _go(self, url: str) -> None:
        try:
            await self._interruptible(self._load(url), NAVIGATION_SECONDS + LOAD_SECONDS + 1)
        except _Interrupted:
            return
        except ActionFailed as error:
            raise EnvironmentDown(f"{url} does not open in time ({error}); is it running?") from error
        except Error as error:
            raise EnvironmentDown(f"{url} does not open ({why(error)}); is it running?") from error
        await self.settle()

    async def _revive(self) -> bool:
        """Open again what has died, at the last good address. True when something had."""
        context = self._context
        if context is None:
            raise EnvironmentDown("no page is open; call reset first")
        alive = context.browser is not None and context.browser.is_connected()
        if not self._dead and alive and self._pages:
            return False
        self._dead = False
        self._dialogs.clear()
        self._interrupt.clear()
        self._requests.clear()
        self._look = None
        if not alive or not self._pages:
            await self._close_context(keep_files=True)
            await self._open(self._good)
            return True
        dead = self._pages.pop(self._tab)
        self._tab = len(self._pages)
        try:
            async with asyncio.timeout(OPENING_SECONDS):
                await context.new_page()
                await dead.close()
        except (Error, TimeoutError):  # the whole browser has gone, meanwhile
            await self._close_context(keep_files=True)
            await self._open(self._good)
            return True
        await self._go(self._good)
        return True

    async def _close_context(self, keep_files: bool = False) -> None:
        context, self._context = self._context, None
        for task in [*self._parked, *self._saving]:
            task.cancel()
        if context is not None and context.browser is not None and context.browser.is_connected():
            with suppress(Error, TimeoutError):  # one that dies meanwhile is closed, too
                async with asyncio.timeout(OPENING_SECONDS):
                    for dialog in self._dialogs:
                        with suppress(Error):
                            await dialog.dismiss()
                    await context.close()
            self._dialogs.clear()
        if not keep_files:
            self._remove_files()

    async def _forget_history(self) -> None:
        with suppress(Error, EnvironmentDown):
            await (await self._protocol(self.page)).send("Page.resetNavigationHistory")

    def _remove_files(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def _lost(self, error: Error) -> bool:
        """Whether this error means that page or browser are gone; notes it."""
        said = error.message.lower()
        if "crashed" in said or "has been closed" in said or "connection closed" in said:
            self._dead = True
        return self._dead

    # ---- what Playwright tells us ------------------------------------------------------------------------

    def _opened(self, page: Page) -> None:
        self._pages.append(page)
        self._tab = len(self._pages) - 1  # a new tab comes to the front
        page.on("close", self._closed)
        page.on("crash", self._crashed)
        page.on("download", lambda download: self._saving.add(asyncio.ensure_future(self._save(download))))
        self._readers[page] = Elements(page, self.ignore)

    def _closed(self, page: Page) -> None:
        if page not in self._pages:
            return
        index = self._pages.index(page)
        self._pages.remove(page)
        if index <= self._tab:
            self._tab = max(0, self._tab - 1)

    def _crashed(self, page: Page) -> None:
        if self._pages and page is self.page:
            self._dead = True
            self._interrupt.set()

    def _asked(self, dialog: Dialog) -> None:
        if dialog.type == "beforeunload":
            self._spawn(dialog.accept())  # whoever leaves has decided to
            return
        self._dialogs.append(dialog)
        self._answer = whole(dialog.default_value)
        self._interrupt.set()

    def _requested(self, request: Request) -> None:
        self._requests.add(request)
        self._wall.requested(request)
        self.writes += request.method not in READING

    def _request_failed(self, request: Request) -> None:
        self._requests.discard(request)
        self._wall.request_failed(request)

    async def _save(self, download: Download) -> None:
        name = _file_name(download.suggested_filename)
        target, count = self.files / name, 1
        while target.exists():
            count += 1
            target = self.files / f"{Path(name).stem} ({count}){Path(name).suffix}"
        target.touch()  # two downloads of one name at once must not share it
        try:
            await download.save_as(target)
        except BaseException as error:  # broken off there, or by us
            target.unlink(missing_ok=True)
            if not isinstance(error, Error):
                raise
            self._unsaved = f"{name} was not downloaded ({why(error)})"
            return
        self.downloads.append(target)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _interruptible(self, work: Awaitable[T], seconds: float) -> T:
        """Await, unless a dialog opens (the rest is then done once it is answered) or the page dies."""
        task = asyncio.ensure_future(work)
        interrupted = asyncio.ensure_future(self._interrupt.wait())
        try:
            await asyncio.wait({task, interrupted}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # nobody waits for it any more, so it must not go on
            task.cancel()
            raise
        finally:
            interrupted.cancel()
        if task.done():
            return task.result()
        if self._dialogs:
            self._parked.add(task)
            task.add_done_callback(self._unpark)
            raise _Interrupted
        task.cancel()
        if self._dead:
            raise _Interrupted
        raise ActionFailed(f"gave up after {seconds:g} s")

    def _unpark(self, task: asyncio.Future[Any]) -> None:
        self._parked.discard(task)
        _heard(task)  # what failed behind a dialog shows in the next observation

    # ---- settling ----------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Wait until the page is loaded, still, and waits for no request; at most two seconds.

        A request that has outlived that (a long poll) is not waited for again.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SETTLE_SECONDS
        while self._pages and not self._dialogs and not self._dead:
            left = deadline - loop.time()
            if left <= 0:
                self._endless = set(self._requests)
                return
            try:
                still = await self._interruptible(self._still(left), left + 0.5)
            except (_Interrupted, ActionFailed):
                return
            except Error as error:  # a navigation: go on with the new page
                if self._lost(error):
                    return
                await asyncio.sleep(0)
                still = False
            if still and not self._waiting() and not self._saving_now():
                return

    def _waiting(self) -> bool:
        self._endless &= self._requests
        return any(r.resource_type not in UNWAITED for r in self._requests - self._endless)

    def _saving_now(self) -> bool:
        self._saving = {s for s in self._saving if not s.done()}
        return bool(self._saving)

    async def _still(self, seconds: float) -> bool:
        page = self.page
        await page.wait_for_load_state("load", timeout=seconds * 1000)
        return await self._readers[page].quiet(seconds * 1000)

    async def _strayed(self, error: str | None) -> str | None:
        """After an action: say if it led nowhere, and go back from where nobody may be."""
        said, self._unsaved = self._wall.failed or self._unsaved, None
        if self._wall.blocked is not None:
            said = self._wall.outside(self._wall.blocked)
        if self._dialogs or self._dead or not self._pages:
            return said
        url = self.page.url
        if len(self._pages) > 1 and self._wall.blocked is not None and url in ("about:blank", ":", ""):
            with suppress(Error):
                await self.page.close()  # a new tab that was not let go anywhere
        elif (said or error) and await self._is_error_page():
            await self._go(self._good)
            return said or error
        elif not self._wall.allowed(url):
            await self._go(self._good)
            return said or self._wall.outside(url)
        return said

    async def _is_error_page(self) -> bool:
        """Whether the browser's own "can't be reached" page is shown; its `url` is the wanted page's."""
        try:
            where = await self._interruptible(self.page.evaluate("location.href"), ACTION_SECONDS)
            return str(where).startswith(ERROR_PAGE)
        except (_Interrupted, ActionFailed):
            return False
        except Error as error:
            self._lost(error)
            return False

    # ---- looking -----------------------------------------------------------------------------------------

    async def _observe(self) -> tuple[Observation, Look]:
        page = self.page
        reader = self._readers[page]
        leaving, self._leaving = self._leaving, None
        for _ in range(3):
            if leaving is not None and len(page.frames) == 1:
                # The mouse goes with the frame that the screenshot takes; what is there then is read after.
                before, screenshot, _ = await asyncio.gather(
                    reader.version(), self._screenshot(page), leaving
                )
                look = await reader.look()
                if look.versions[0][1] == before:
                    break
            else:
                if leaving is not None:
                    await leaving
                look = await reader.look()
                screenshot = await self._screenshot(page)
                if await reader.unchanged(look):
                    break
            leaving = None
            await reader.quiet(STILL_SECONDS * 1000)
        tabs = tuple([whole(await p.title()) or p.url for p in self._pages]) if len(self._pages) > 1 else ()
        if look.url != self._good and self._context is not None and not look.url.startswith("chrome"):
            self._cookies = list(await self._context.cookies())
            self._good = look.url
        observation = Observation(
            url=look.url,
            title=look.title,
            viewport=self._start.viewport,
            elements=look.elements,
            screenshot=screenshot,
            focused=look.focused,
            tabs=tabs,
            tab=self._tab,
            hidden=look.hidden,
            unlisted=look.unlisted,
        )
        return observation, look

    async def _screenshot(self, page: Page) -> bytes:
        """PNG at CSS scale, straight from the protocol: half the time of Playwright's own call."""
        session = await self._protocol(page)
        asked: dict[str, Any] = {"format": "png", "optimizeForSpeed": True}
        if self._scale != 1:
            seen = (await session.send("Page.getLayoutMetrics"))["cssVisualViewport"]
            width, height = self._start.viewport
            asked["clip"] = {
                "x": seen["pageX"], "y": seen["pageY"], "width": width, "height": height, "scale": 1
            }  # fmt: skip
        shown: list[Box] = []
        for _ in range(3):
            before = [] if self.hides is None else await drawn.places(page, session, self.hides)
            got = await self._of_this_document(page, session.send("Page.captureScreenshot", asked))
            shown = [] if self.hides is None else await drawn.places(page, session, self.hides)
            if shown == before:
                break
        else:  # it moves, and may stand anywhere on the picture
            shown = [Box(0, 0, *self._start.viewport)]
        png = base64.b64decode(got["data"])
        return painted_over(png, shown, self._start.viewport) or png

    async def _of_this_document(self, page: Page, work: Coroutine[Any, Any, T]) -> T:
        """Await, unless another document takes this one's place: Chromium never answers with the picture of a
        document that has gone meanwhile. Raises ActionFailed."""
        task = asyncio.ensure_future(work)
        task.add_done_callback(_heard)
        another = asyncio.Event()

        def loaded(_: Page) -> None:
            another.set()

        page.on("domcontentloaded", loaded)
        waiting = asyncio.ensure_future(another.wait())
        try:
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ActionFailed("the page went on to another")
            return task.result()
        finally:
            page.remove_listener("domcontentloaded", loaded)
            waiting.cancel()
            task.cancel()

    async def _protocol(self, page: Page) -> CDPSession:
        """Chromium's own protocol, for what Playwright has no call for."""
        session = self._sessions.get(page)
        if session is None:
            assert self._context is not None
            session = self._sessions[page] = await self._context.new_cdp_session(page)
        return session

    def _dialog_observation(self) -> Observation:
        dialog = self._dialogs[0]
        last = self._last
        width, height = self._start.viewport
        box = Box(0, 0, width, height)
        elements = [Element(None, "dialog", whole(dialog.message), box), Element(1, "button", "OK", box)]
        if dialog.type != "alert":
            elements.append(Element(2, "button", "Cancel", box))
        if dialog.type == "prompt":
            elements.append(Element(3, "textbox", "answer", box, value=self._answer or None))
        return Observation(
            url=last.url if last else self._start.url,
            title=last.title if last else "",
            viewport=self._start.viewport,
            elements=tuple(elements),
            screenshot=last.screenshot if last else None,
            focused=3 if dialog.type == "prompt" else 1,
            tabs=last.tabs if last else (),
            tab=last.tab if last else 0,
        )

    def _remember(self, seen: Observation, look: Look | None) -> Observation:
        self._last, self._look = seen, look
        return seen

    def _with(self, seen: Observation, error: str | None, restarted: bool = False) -> Observation:
        self._last = replace(seen, error=whole(error), restarted=restarted or seen.restarted)
        return self._last

    # ---- acting ------------------------------------------------------------------------------------------

    async def _perform(self, action: Action) -> None:
        if self._dialogs and not action.final and action.name != "noop":
            await self._answer_dialog(action)
            return
        await self.act(action)

    async def _answer_dialog(self, action: Action) -> None:
        dialog = self._dialogs[0]
        target = self._ref(action.targets[0]) if action.targets else None
        typed = str(action.args[-1]) if action.args else ""
        if action.name == "fill" and target == 3:
            self._answer = typed
            return
        if action.name == "keyboard_type" and dialog.type == "prompt":
            self._answer += typed
            return
        keys = action.name in ("press", "keyboard_press") and typed
        pressed = action.name == "click" or keys == "Enter"
        accept = pressed and target in ((1,) if action.name == "click" else (None, 1, 3))
        dismiss = (pressed and target == 2) or keys == "Escape"
        if not (accept or dismiss):
            raise ActionFailed(f"answer the dialog {quote(shorten(dialog.message))} first, by its buttons")
        self._dialogs.pop(0)
        if not self._dialogs:
            self._interrupt.clear()
        if accept:
            await dialog.accept(self._answer if dialog.type == "prompt" else "")
        else:
            await dialog.dismiss()
        if self._parked:  # what the dialog had held up
            await asyncio.wait(set(self._parked), timeout=ACTION_SECONDS)


def _file_name(suggested: str) -> str:
    """What a download is called here: a site may call it more than a folder can hold."""
    stem, ending = os.path.splitext(Path(whole(suggested)).name.encode() or b"download")
    return (stem[: LONGEST_NAME - len(ending)] + ending)[:LONGEST_NAME].decode(errors="ignore")


def _heard(task: asyncio.Future[Any]) -> None:
    """What failed in a task that nobody waits for any more is no news; unheard, asyncio would print it."""
    if not task.cancelled():
        task.exception()
