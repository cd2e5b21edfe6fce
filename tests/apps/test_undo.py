"""Undoing a step in a real browser, on a small app that counts what it is sent."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from apps.undo import Trail
from tools.actions import parse
from tools.browser import Browser
from tools.environment import Start
from tools.secrets import Discreet

PAGES = {
    "/": """<title>Note</title><form method=post action=/saved><label>Name <input></label>
<label>Size <select><option>small<option>large</select></label><label><input type=checkbox> Urgent</label>
<label><input type=radio name=way> By post</label><label><input type=radio name=way checked> By hand</label>
<button>Save</button></form> <a href=/list>List</a> <a href=/list target=_blank>Beside</a> <h1>Two notes</h1>
<label>Draft <input oninput="fetch('/draft', {method: 'POST'})"></label>
<button onclick="document.querySelector('h1').textContent = 'Sorted'">Sort</button>""",
    "/list": "<title>List</title><p>Three notes</p><a href=/>Back</a>",
    "/saved": "<title>Saved</title><p>Saved</p>",
}


class App(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        page = PAGES.get(self.path, "").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def app() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), App)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
async def trail(app: str, chromium_path: str) -> AsyncIterator[Trail]:
    """At the app's first page, with nothing done yet."""
    async with Browser() as browser:
        page = browser.environment()
        made = Trail(Discreet(page), lambda: page.writes)
        await made.reset(Start(f"{app}/"))
        yield made


async def do(trail: Trail, *steps: str) -> None:
    for step in steps:
        after = await trail.step(parse(step))
        assert after.error is None, after.error


async def test_what_was_filled_in_is_put_back(trail: Trail, app: str) -> None:
    """Text, an option, a tick and a choice, the last first; what only looked is passed over."""
    first = (await trail.observe()).text()
    await do(trail, 'fill(textbox("Name"), "Ada")', 'fill(textbox("Name"), "Bob")')
    await do(trail, 'select_option(combobox("Size"), "large")', 'click(checkbox("Urgent"))')
    await do(trail, 'click(radio("By post"))', 'hover(button("Save"))', "noop(1)")
    for step in ('click(radio("By post"))', 'click(checkbox("Urgent"))', 'select_option(combobox("Size")'):
        said = (await trail.undo()).said
        assert said.startswith(f"undone: {step}") and said.endswith(f"{app}/ is as it was before.")
    assert [str(action) for _, action in (await trail.undo()).steps] == ['"Name" fill(1, "Ada")']
    assert "is as it was before" in (await trail.undo()).said
    assert (await trail.observe()).text() == first
    assert (await trail.undo()).said.startswith("nothing to undo")


async def test_a_step_that_led_elsewhere_is_gone_back_from(trail: Trail, app: str) -> None:
    """By the browser's own way back, which keeps what was filled in; a tab that it opened is closed; and from
    where the way back itself led."""
    await do(trail, 'fill(textbox("Name"), "Ada")', 'click(link("List"))')
    undone = await trail.undo()
    assert "is as it was before" in undone.said and [str(a) for _, a in undone.steps] == ["go_back()"]
    await do(trail, 'click(link("Beside"))')
    assert len((await trail.observe()).tabs) == 2
    assert "is as it was before" in (await trail.undo()).said
    await do(trail, f'goto("{app}/list")', "go_back()")
    undone = await trail.undo()
    assert "is as it was before" in undone.said and (await trail.observe()).title == "List"


async def test_what_was_sent_stays_sent_and_is_said(trail: Trail) -> None:
    """A form that was sent, and a field that saves itself: nothing is done, and nothing is claimed."""
    await do(trail, 'fill(textbox("Draft"), "x")')
    undone = await trail.undo()
    assert "has sent something to the app" in undone.said and not undone.steps
    trail.did.clear()
    await do(trail, 'fill(textbox("Name"), "Ada")', 'click(button("Save"))')
    undone = await trail.undo()
    assert undone.said.startswith('not undone: click(button("Save"))') and not undone.steps
    assert (await trail.observe()).title == "Saved"


async def test_a_difference_is_not_hidden(trail: Trail, app: str) -> None:
    """What the page's script did in place has no way back; a page that has changed meanwhile is shown so."""
    await do(trail, 'click(button("Sort"))')
    undone = await trail.undo()
    assert "changed the page in place" in undone.said and not undone.steps
    await do(trail, f'goto("{app}/list")')
    undone = await trail.undo()
    assert "is not quite as before: it had" in undone.said and "Sorted" in undone.said
