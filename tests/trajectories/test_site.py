"""A site nobody wrote tasks for: surveyed, demonstrated, and left as it was found."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tools.browser import Browser
from trajectories.rollout import oracle_policy, roll_out
from trajectories.site import Site, SiteError, address, survey
from trajectories.store import Store

PAGES = {
    "/": '<h1>Shop</h1><a href="/tea">Tea</a> <a href="/coffee">Coffee</a> <a href="/logout">Log out</a>'
    '<a href="https://example.org/">Elsewhere</a><form action="/find"><input name="q" aria-label="Search">'
    '</form><form method="post" action="/buy"><button>Buy everything</button></form>',
    "/tea": '<h1>Tea</h1><a href="/">Home</a> <a href="/tea/green">Green</a>',
    "/tea/green": '<h1>Green tea</h1><a href="/tea">Back to tea</a>',
    "/coffee": '<h1>Coffee</h1><a href="/">Home</a> <a href="/tea">Tea</a> <a href="#top">Top</a>',
    "/alone": "<h1>Nothing leads on</h1>",
}


class _Shop(BaseHTTPRequestHandler):
    asked: list[str] = []

    def do_GET(self) -> None:
        _Shop.asked.append(self.path)
        split = urlsplit(self.path)
        text = PAGES.get(split.path)
        if split.path == "/find":
            text = f"<h1>Found {parse_qs(split.query)['q'][0]}</h1><a href='/'>Home</a>"
        self.send_response(200 if text else 404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write((text or "no such page").encode())

    def do_POST(self) -> None:
        _Shop.asked.append("POST " + self.path)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def shop() -> Iterator[str]:
    _Shop.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Shop)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


async def test_survey_reads_and_writes_nothing(chromium_path: str, shop: str) -> None:
    """Links and the search are found; the end, the elsewhere and the button that posts are left alone."""
    async with Browser() as browser:
        found = await survey(browser.environment(), shop)
    links = {(urlsplit(e.start).path, e.name, urlsplit(e.end).path) for e in found.edges if not e.text}
    assert {("/", "Tea", "/tea"), ("/tea", "Green", "/tea/green")} <= links
    assert [e.name for e in found.edges if e.text and urlsplit(e.start).path == "/"] == ["Search"]
    assert not [path for path in _Shop.asked if path.startswith(("/logout", "POST"))]
    assert all(urlsplit(e.end).netloc == urlsplit(shop).netloc for e in found.edges)


async def test_oracle_follows_the_map_and_the_checker_the_address(chromium_path: str, shop: str) -> None:
    """Tasks of both families are solved, also after stray steps, and end on the page that was asked for."""
    async with Browser() as browser:
        env = browser.environment()
        (await survey(env, shop)).save()
        suite = Site(shop)
        assert suite.families == ("open-page", "search")
        goals = set()
        for family in suite.families:
            for seed in range(5):
                task = suite.task(family, seed)
                _, look = await task.setup(env)
                assert not (await task.check(env, None)).success
                episode = await roll_out(task, oracle_policy(task), env, perturb=seed % 2)
                assert episode.outcome.success, episode
                assert address(episode.final.url) == task.last.end
                goals.add(episode.goal)
        assert len(goals) > 4


async def test_a_site_that_leads_nowhere(chromium_path: str, shop: str) -> None:
    """Says so."""
    async with Browser() as browser:
        with pytest.raises(SiteError, match="nothing to demonstrate"):
            await survey(browser.environment(), shop + "alone")


def test_generate_takes_a_url(chromium_path: str, shop: str, tmp_path: Path) -> None:
    """The command surveys, then makes verified episodes through the whole line."""
    import subprocess

    command = [sys.executable, "-m", "apps.main", "generate", shop, "--episodes", "6", "--out", str(tmp_path)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["episodes"] == 6 and said["success"] == 1.0 and said["examples"] > 12
    assert {e.suite for e in Store(tmp_path / "episodes")} == {urlsplit(shop).netloc.replace(":", "-")}
