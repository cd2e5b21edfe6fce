"""A reset leaves nothing of the last episode, whether its tab serves again or not."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import Iterator

import pytest

from tools.actions import parse
from tools.browser import REUSES, Browser, BrowserEnvironment
from tools.environment import Start

PAGE = b"""<!doctype html><title>Start</title><style>#h:hover { background: red }</style>
<button id=h onclick="document.cookie='a=1'; localStorage.a='1'; sessionStorage.a='1'; window.name='a';
  indexedDB.open('a')">Mark</button><a href="/next">Next</a>
<a href="http://127.0.0.1:9/">Away</a><input aria-label=Name>"""
LEFT = """async () => [document.cookie, localStorage.length, sessionStorage.length, window.name,
  (await indexedDB.databases()).length, document.querySelector('input').value, h.matches(':hover')]"""
NOTHING = ["", 0, 0, "", 0, "", False]


@pytest.fixture
def url() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(PAGE)))
            self.end_headers()
            self.wfile.write(PAGE)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


async def live(env: BrowserEnvironment) -> None:
    """An episode that leaves traces wherever a page can."""
    for action in ('fill(textbox("Name"), "Ada")', 'click(link("Next"))', 'click(button("Mark"))'):
        look = await env.step(parse(action))
        assert look.error is None
    assert await env.page.evaluate(LEFT) != NOTHING


async def test_the_tab_of_the_last_episode_is_wiped(url: str) -> None:
    """Same settings: the same tab, without cookies, storage, name, history, hover, or half-filled fields."""
    async with Browser() as browser:
        env = browser.environment()
        first = await env.reset(Start(url))
        page, files = env.page, env.files
        await live(env)
        look = await env.reset(Start(url))
        assert env.page is page
        assert await env.page.evaluate(LEFT) == NOTHING
        assert look.text() == first.text() and look.screenshot == first.screenshot
        assert env.files != files and not files.exists()
        back = await env.step(parse("go_back()"))
        assert back.error is not None and back.url == url


async def test_a_tab_that_serves_again_says_where_it_was_not_let_go(url: str) -> None:
    """What the wall keeps in is told of the episode that it is kept from, not of the first in that tab."""
    async with Browser() as browser:
        env = browser.environment()
        tabs = set()
        for _ in range(2):
            await env.reset(Start(url))
            tabs.add(env.page)
            look = await env.step(parse('click(link("Away"))'))
            assert "outside the allowed origins" in (look.error or "") and look.url == url
        assert len(tabs) == 1


async def test_the_first_look_at_a_page_that_stays_has_nothing_hovered_over(url: str) -> None:
    """The mouse leaves with the frame that the screenshot takes: what is seen is the page without it."""
    async with Browser() as browser:
        env = browser.environment()
        first = await env.reset(Start(url))
        assert (await env.step(parse('hover(button("Mark"))'))).screenshot != first.screenshot
        assert await env.open(Start(url), anew="'begun'") == "begun"
        look = await env.observe()
        assert look.screenshot == first.screenshot and look.text() == first.text()
        assert await env.open(Start(url + "next"), anew="'begun'") is None  # another page: that one is loaded
        assert env.page.url == url + "next"


@pytest.mark.parametrize("case", ["other settings", "two tabs", "a dialog", "a hung page", "worn out"])
async def test_anything_else_gets_a_new_tab(url: str, case: str) -> None:
    """Other settings, a second tab, an open dialog, a page that hangs, long use: nothing is taken over."""
    async with Browser() as browser:
        env = browser.environment()
        await env.reset(Start(url))
        page, start = env.page, Start(url)
        await live(env)
        if case == "other settings":
            start = Start(url, viewport=(500, 500))
        elif case == "two tabs":
            await env.page.evaluate("open('/next')")
            assert len((await env.observe()).tabs) == 2
        elif case == "a dialog":
            await env.page.evaluate("setTimeout(() => alert('wait'))")
            assert "wait" in (await env.step(parse("noop(100)"))).text()
        elif case == "a hung page":
            await env.page.evaluate("setTimeout(() => { for (;;); }, 20)")
            await asyncio.sleep(0.1)
        else:
            for _ in range(REUSES):
                await env.open(Start(url), anew="1")
            assert env.page is page
        look = await env.reset(start)
        assert env.page is not page and await env.page.evaluate(LEFT) == NOTHING
        assert "textbox" in look.text() and len(look.tabs) < 2
