"""What a page sends elsewhere does not arrive: a real page, a real server beside it, a real Chromium."""

from __future__ import annotations

import asyncio
import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.actions import parse
from tools.browser import Browser
from tools.environment import Start


@pytest.fixture
def two_servers() -> Iterator[tuple[str, str, list[str]]]:
    """A site whose page tries every way out, another site, and what arrived at either."""
    arrived: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            arrived.append(f"{self.server.server_port}{self.path}")
            if self.path == "/jump/late":
                time.sleep(LATE)
            self.send_response(302 if self.path.startswith("/jump") else 200)
            self.send_header("Location", f"{other}/redirected")
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(PAGE.replace("OTHER", other).replace("WS", other[5:]).encode())

        def do_POST(self) -> None:
            arrived.append(f"{self.server.server_port}{self.path}")
            self.send_response(307)
            self.send_header("Location", f"{other}/posted")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
    site, other = (f"http://127.0.0.1:{s.server_port}" for s in servers)
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield site, other, arrived
    for server in servers:
        server.shutdown()
        server.server_close()


LATE = 5.0  # seconds, longer than a look waits for an answer
PAGE = """<title>Home</title><a href=/jump>Away</a><a href=/jump/late>Later</a>
<form method=post action=/send><button>Send</button></form>
<img src="OTHER/img"><img src="/jump/img"><iframe src="/jump/frame"></iframe>
<link rel=prefetch href="OTHER/pre">
<script>fetch('/jump/fetch', {mode: 'no-cors'}).catch(() => 0); navigator.sendBeacon('/beacon', 'x');
new WebSocket('ws:WS/socket'); new WebSocket('ws://' + location.host + '/own');</script>"""


async def test_no_way_leads_to_another_origin(
    two_servers: tuple[str, str, list[str]], chromium_path: str
) -> None:
    """Redirects (also of pictures, frames, posts), beacons, WebSockets: the other site hears of none; the
    page's own site is reached by all, and the agent is told where it was not let go."""
    site, other, arrived = two_servers
    async with Browser() as browser:
        env = browser.environment()
        await env.reset(Start(f"{site}/"))
        for call in ('click(link("Away"))', 'click(button("Send"))'):
            seen = await env.step(parse(call))
            assert "outside the allowed origins" in (seen.error or "") and seen.url == f"{site}/"
        await asyncio.sleep(0.3)
        port = site.rpartition(":")[2]
        assert {f"{port}{p}" for p in ("/jump", "/send", "/jump/img", "/jump/fetch", "/own")} <= {*arrived}
        assert [a for a in arrived if not a.startswith(port)] == []
        await env.reset(Start(f"{site}/", origins=(site, other)))  # what is allowed arrives
        assert f"{other.rpartition(':')[2]}/img" in arrived
        seen = await env.reset(Start(f"http://LOCALHOST:{port}/"))  # which the browser writes small
        assert seen.title == "Home"


FRAMES = """<title>Home</title><iframe src="../other/secret.html"></iframe>
<object data="../other/secret.html"></object><iframe src="near.html"></iframe>
<iframe srcdoc="<iframe src='../other/secret.html'></iframe>"></iframe>
<img alt=Logo src="../other/logo.svg" width=40 height=40 onload="document.title = 'drawn'">
<button onclick="document.querySelector('iframe').src = '../other/secret.html?2'">Show</button>"""


async def test_a_local_page_shows_no_other_folders_in_its_frames(tmp_path: Path, chromium_path: str) -> None:
    """Frames, at once or later, are refused as addresses are: neither listed nor drawn. Pictures and styles
    from a folder beside, which many pages have, are."""
    for name in ("pages", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "pages" / "page.html").write_text(FRAMES)
    (tmp_path / "pages" / "near.html").write_text("<p>Near</p>")
    (tmp_path / "other" / "secret.html").write_text("<p>Secret</p>")
    (tmp_path / "other" / "logo.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg"><circle r="9"/></svg>'
    )
    async with Browser() as browser:
        env = browser.environment()
        seen = await env.reset(Start((tmp_path / "pages" / "page.html").as_uri()))
        assert "Near" in seen.text() and "Secret" not in seen.text() and seen.title == "drawn"
        assert seen.error is None  # the page did open
        seen = await env.step(parse('click(button("Show"))'))
        assert "outside the folder" in (seen.error or "") and "Secret" not in seen.text()
        said = [await frame.evaluate("document.body.innerText") for frame in env.page.frames]
        assert [text.strip() for text in said if "Secret" in text] == [] and "Near" in " ".join(said)


async def test_a_way_out_that_is_slow_to_show(
    two_servers: tuple[str, str, list[str]], chromium_path: str
) -> None:
    """A redirect that comes after the page was taken for settled: the next look says so, from the page that
    was left, and never shows the browser's own error page."""
    site, _, arrived = two_servers
    async with Browser() as browser:
        env = browser.environment()
        await env.reset(Start(f"{site}/"))
        seen = await env.step(parse('click(link("Later"))'))
        assert seen.url == f"{site}/"
        for _ in range(30):
            if seen.error:
                break
            await asyncio.sleep(0.25)
            seen = await env.observe()
            assert seen.url == f"{site}/"
        assert "outside the allowed origins" in (seen.error or "")
        assert [a for a in arrived if not a.startswith(site.rpartition(":")[2])] == []
