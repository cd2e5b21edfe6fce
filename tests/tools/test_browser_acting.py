"""The browser environment on real pages in a real Chromium: what it does, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import http.server
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from playwright.async_api import Browser as Chromium

from tools.actions import parse
from tools.browser import NAVIGATION_SECONDS, Browser, BrowserEnvironment
from tools.environment import EnvironmentDown, Start
from tools.observation import Observation

PAGES = Path(__file__).parent / "pages"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with Browser() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def env(browser: Browser, tmp_path: Path) -> AsyncIterator[BrowserEnvironment]:
    made = browser.environment()
    await made.reset(Start((PAGES / "doing.html").as_uri(), files=str(tmp_path / "files")))
    yield made
    await made.close()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A small real web server: a cookie, a slow answer, a redirect elsewhere, an endless answer."""
    release = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<title>Home</title>"
            if self.path == "/away":
                self.send_response(302)
                self.send_header("Location", "http://localhost:9/")
                self.end_headers()
                return
            if self.path == "/report":  # which breaks off
                self.send_response(200)
                self.send_header("Content-Disposition", 'attachment; filename="report.csv"')
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"total,")
                return
            if self.path == "/long":
                self.send_response(200)
                self.send_header("Content-Disposition", f'attachment; filename="{"z" * 300}.csv"')
                self.end_headers()
                self.wfile.write(b"total,1")
                return
            if self.path == "/slow":
                release.wait(0.4)
                body = b"came late"
            elif self.path == "/endless":
                release.wait(20)
            elif self.path == "/picture":
                body += b"<p>all but its picture</p><img src=/endless>"
            elif self.path.startswith("/soon"):  # the button leads on when the look has long begun, or nearly
                after = int(self.path.rpartition("?")[2]) + 3
                body += b"<button onclick=\"setTimeout(() => location = '/soon?%d', %d)\">On" % (after, after)
            elif self.path == "/fetch":
                body += b"<button onclick=\"fetch('/slow').then(r=>r.text()).then(t=>out.textContent=t)\">Get"
                body += b"</button><p id=out></p><script>fetch('/endless')</script>"
            else:
                body += b"<a href=/away>Away</a><a href=http://127.0.0.1:9/>Broken</a><p>"
                body += (self.headers["Cookie"] or "no cookie").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Set-Cookie", "seen=yes")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    release.set()
    httpd.shutdown()
    httpd.server_close()


async def do(env: BrowserEnvironment, *calls: str) -> Observation:
    """The calls one after the other, none of which may fail."""
    for call in calls:
        seen = await env.step(parse(call))
        assert seen.error is None, f"{call}: {seen.error}"
    return seen


async def test_alert_confirm_and_prompt(env: BrowserEnvironment) -> None:
    """While a dialog is open only it is shown; its buttons answer it; other actions say so."""
    seen = await do(env, 'click(button("Alert"))')
    assert seen.text().splitlines()[1:] == ['dialog "Saved"', 'button "OK" [1]']
    assert seen.screenshot is not None
    assert "answer the dialog" in ((await env.step(parse("go_back()"))).error or "")
    assert "after alert" in (await do(env, "click(1)")).text()
    seen = await do(env, 'click(button("Confirm"))')
    assert 'button "Cancel" [2]' in seen.text()
    assert "confirm false" in (await do(env, "click(2)")).text()
    assert "confirm true" in (await do(env, 'click(button("Confirm"))', 'click(button("OK"))')).text()
    seen = await do(env, 'click(button("Prompt"))')
    assert 'textbox "answer" [3] = "Bob"' in seen.text()
    assert "prompt Ada" in (await do(env, 'fill(3, "Ada")', "click(1)")).text()
    await do(env, 'click(button("Prompt"))')
    assert "prompt null" in (await do(env, 'keyboard_press("Escape")')).text()
    await do(env, 'click(button("Confirm"))')
    assert "confirm false" in (await do(env, 'press(button("Cancel"), "Enter")')).text()
    await do(env, 'click(button("Prompt"))')
    assert "prompt Bob" in (await do(env, 'press(3, "Enter")')).text()


async def test_new_tabs(env: BrowserEnvironment) -> None:
    """Popups and links to new tabs come to the front; tabs can be changed and closed, the last one not."""
    seen = await do(env, 'click(button("Popup"))')
    assert (seen.tabs, seen.tab, seen.title) == (("Doing", "Other"), 1, "Other")
    assert "tabs: Doing|*Other" in seen.text()
    seen = await do(env, "tab_focus(0)", 'click(link("New tab"))')
    assert seen.tab == 2
    seen = await do(env, "tab_close()", "tab_close()")
    assert seen.tabs == () and seen.title == "Doing"
    assert "only tab" in ((await env.step(parse("tab_close()"))).error or "")
    assert "there is no tab 3" in ((await env.step(parse("tab_focus(3)"))).error or "")


async def test_a_download_that_breaks_off_is_said(browser: Browser, server: str, tmp_path: Path) -> None:
    """It leaves no empty file that could be taken for it."""
    env = browser.environment()
    await env.reset(Start(f"{server}/", files=str(tmp_path)))
    seen = await env.step(parse('goto("/report")'))
    assert "report.csv was not downloaded" in (seen.error or "")
    assert env.downloads == [] and [*tmp_path.iterdir()] == []
    await env.close()


async def test_a_download_of_a_very_long_name_is_kept(browser: Browser, server: str) -> None:
    """Under as much of it as a folder can hold, its ending among that."""
    env = browser.environment()
    await env.reset(Start(f"{server}/"))
    for _ in range(2):
        await do(env, 'goto("/long")')
    first, second = env.downloads
    assert first.read_bytes() == second.read_bytes() == b"total,1"
    assert first.name.startswith("zzz") and first.suffix == second.suffix == ".csv"
    await env.close()


async def test_files_go_up_and_come_down_in_their_folder_only(env: BrowserEnvironment) -> None:
    """Downloads land in `files`; uploads come from there, and from nowhere else."""
    await do(env, 'click(link("Download"))')
    assert [p.read_text() for p in env.downloads] == ["hello"]
    assert env.downloads[0] == env.files / "report.txt"
    assert "file report.txt" in (await do(env, 'upload_file(file("Attachment"), "report.txt")')).text()
    (env.files / "two.txt").write_text("2")
    assert "file two.txt" in (await do(env, 'upload_file(button("Choose file"), "two.txt")')).text()
    for outside in ["../../secret", "/etc/hostname", "missing.txt"]:
        seen = await env.step(parse(f'upload_file(file("Attachment"), "{outside}")'))
        assert "there is no file" in (seen.error or "") and "report.txt" in (seen.error or "")
    (env.files / "link").symlink_to("/etc/hostname")
    assert (await env.step(parse('upload_file(file("Attachment"), "link")'))).error
    for no_name in ("x" * 300, "a\\x00b"):
        seen = await env.step(parse(f'upload_file(file("Attachment"), "{no_name}")'))
        assert "there is no file" in (seen.error or "")


async def test_drags_canvas_hover_and_keyboard(env: BrowserEnvironment) -> None:
    """HTML5 and plain mouse drags, points on a canvas, hover, double click, typed text and key presses."""
    seen = await do(env, 'drag_and_drop(clickable("Parcel"), clickable("Shelf"))')
    assert "dropped parcel" in seen.text()
    seen = await do(env, 'drag_and_drop(clickable("Slide"), textbox("Keys"))')
    slide, keys = [e.box.centre[0] for n in ("Slide", "Keys") for e in seen.elements if e.name == n]
    assert f"slid {str(keys > slide).lower()}" in seen.text()
    box = next(e.box for e in seen.elements if e.role == "canvas")
    x, y = seen.thousandths(*box.centre)
    assert "canvas " in (await do(env, f"mouse_click({x}, {y})")).text()
    slide_at = next(e.box.centre for e in seen.elements if e.name == "Slide")
    sx, sy = seen.thousandths(*slide_at)
    assert "slid true" in (await do(env, f"mouse_drag_and_drop({sx}, {sy}, {sx + 80}, {sy})")).text()
    assert "hovered" in (await do(env, 'hover(clickable("Hover me"))')).text()
    assert "double" in (await do(env, 'dblclick(button("Double"))')).text()
    await do(env, 'click(textbox("Keys"))', 'keyboard_type("Adam")')
    assert '= "Ada"' in (await do(env, 'press(textbox("Keys"), "Backspace")')).text()
    seen = await do(env, 'keyboard_press("Control+a")', 'keyboard_press("Delete")', "noop(10)")
    assert '= "Ada' not in seen.text()
    assert "no key" in ((await env.step(parse('keyboard_press("Nonsense")'))).error or "")


async def test_selects_dates_and_drawn_lists(env: BrowserEnvironment) -> None:
    """Options by label, one or several, native or drawn by the page; ISO dates; errors list the choices."""
    await do(env, f'goto("{(PAGES / "form.html").as_uri()}")')
    seen = await do(
        env,
        'select_option(combobox("Priority"), "high")',
        'select_option(listbox("Tags"), ["green", "blue"])',
        'fill(textbox("Due"), "2026-03-04")',
    )
    assert '= "high"' in seen.text() and '= "green, blue"' in seen.text() and '= "2026-03-04"' in seen.text()
    seen = await env.step(parse('select_option(combobox("Priority"), "urgent")'))
    assert '"Priority" [2] has no "urgent"; it offers "low", "normal", "high"' in (seen.error or "")
    assert "one option only" in ((await env.step(parse('select_option(2, ["low", "high"])'))).error or "")
    assert "is disabled" in ((await env.step(parse('click(button("Locked"))'))).error or "")
    assert (await env.step(parse('fill(textbox("Fixed"), "x")'))).error
    await do(env, f'goto("{(PAGES / "looks.html").as_uri()}")')
    seen = await do(env, 'click(combobox("Fruit"))')
    assert 'option "apple"' in seen.text()
    assert "chose pear" in (await do(env, 'click(option("pear"))')).text()
    assert "chose apple" in (await do(env, 'select_option(combobox("Fruit"), "apple")')).text()
    assert 'checkbox "Dark mode" [10] checked' in (await do(env, 'click(checkbox("Dark mode"))')).text()


async def test_errors_are_observations_and_the_episode_goes_on(env: BrowserEnvironment) -> None:
    """Gone, covered and unknown targets, blocked and broken addresses: said, and nothing is lost."""
    assert "there is no [99]" in ((await env.step(parse("click(99)"))).error or "")
    assert "there is no" in ((await env.step(parse('click(button("Nowhere"))'))).error or "")
    await env.page.evaluate(
        "document.querySelectorAll('button').forEach(b => b.textContent == 'Remove me' && b.remove())"
    )
    assert "is gone" in ((await env.step(parse('click(button("Remove me"))'))).error or "")
    await env.page.evaluate("cover.style.display = 'block'")
    seen = await env.step(parse('click(button("Alert"))'))
    assert 'is covered by "Please wait"' in (seen.error or "")
    await env.page.evaluate("cover.style.display = 'none'")
    await env.observe()
    seen = await env.step(parse('click(link("Outside"))'))
    assert "outside the allowed origins" in (seen.error or "") and seen.title == "Doing"
    assert "outside the allowed origins" in (
        (await env.step(parse('goto("http://example.com/")'))).error or ""
    )
    assert "is no address" in ((await env.step(parse('goto("http://[")'))).error or "")
    assert "outside" in ((await env.step(parse('goto("../test_browser.py")'))).error or "")
    seen = await env.step(parse('goto("missing.html")'))
    assert "did not load" in (seen.error or "") and seen.title == "Doing"
    assert (await do(env, 'goto("other.html")', "go_back()")).title == "Doing"


async def test_a_step_that_is_given_up_does_not_go_on(env: BrowserEnvironment) -> None:
    """Nothing is typed any more once nobody waits for it."""
    await do(env, 'click(textbox("Keys"))')
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(env.step(parse(f'keyboard_type("{"x" * 900}")')), 0.1)
    typed = len(await env.page.evaluate("document.activeElement.value"))
    await asyncio.sleep(0.3)
    assert len(await env.page.evaluate("document.activeElement.value")) - typed < 5


async def test_a_long_text_has_the_time_it_takes_to_type(
    env: BrowserEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given up in the middle it would stand there in part, to be typed a second time."""
    await do(env, 'click(textbox("Keys"))')
    monkeypatch.setattr("tools.browser.ACTION_SECONDS", 0.1)
    await do(env, f'keyboard_type("{"x" * 900}")')
    assert await env.page.evaluate("document.activeElement.value.length") == 900


async def test_settling_waits_for_what_was_started(env: BrowserEnvironment, server: str) -> None:
    """A fetch is waited for, a script's late change too, an endless request only once."""
    assert "late" in (await do(env, 'click(button("Later"))')).text()
    await env.reset(Start(f"{server}/fetch"))
    assert "came late" in (await do(env, 'click(button("Get"))')).text()


async def test_a_page_whose_picture_does_not_come_is_opened(env: BrowserEnvironment, server: str) -> None:
    """At the start, and when it is gone to."""
    assert "all but its picture" in (await env.reset(Start(f"{server}/picture"))).text()
    assert "all but its picture" in (await do(env, 'goto("/picture")')).text()


async def test_a_page_that_goes_on_while_it_is_looked_at(env: BrowserEnvironment, server: str) -> None:
    """Chromium never gives the picture of a document that has gone meanwhile: nobody waits for it until the
    time is up (ten seconds, in one of three or four looks that a navigation overtook)."""
    await env.reset(Start(f"{server}/soon?20"))
    for _ in range(20):
        began = time.monotonic()
        await env.step(parse('click(button("On"))'))  # which may be gone, where it goes on after the look
        assert time.monotonic() - began < NAVIGATION_SECONDS


async def test_web_origins_redirects_and_broken_links(env: BrowserEnvironment, server: str) -> None:
    """A redirect out of the allowed origins and a dead server: back on the last good page, and why."""
    seen = await env.reset(Start(f"{server}/", origins=(server, "http://127.0.0.1:9")))
    for link in ["Away", "Broken"]:
        seen = await env.step(parse(f'click(link("{link}"))'))
        assert "did not load" in (seen.error or "") or "outside" in (seen.error or "")
        assert seen.title == "Home"


async def test_fields_say_whose_they_are_and_what_enter_presses(env: BrowserEnvironment, server: str) -> None:
    """The form's first button, wherever it stands; none in a long text. A frame's origin is said where it is
    another than the page's."""
    other = server.replace("127.0.0.1", "localhost")
    await env.reset(Start(f"{server}/", origins=(server, other)))
    await env.page.evaluate(f"""document.body.innerHTML = `<form id=f><input aria-label=CVV>
      <button type=button>Help</button>
      <button>Search</button><textarea aria-label=Note></textarea></form><input aria-label=Bare>
      <iframe srcdoc="<input aria-label=Inner>"></iframe><iframe src="{other}/fetch"></iframe>`""")
    seen = await env.observe()
    said = {e.name: (e.enters, e.origin) for e in seen.actionable()}
    assert said == {
        "CVV": ("Search", ""), "Help": (None, ""), "Search": (None, ""), "Note": ("", ""),
        "Bare": (None, ""),        "Inner": (None, ""), "Get": (None, other),
    }  # fmt: skip
    await env.page.evaluate("f.insertAdjacentHTML('beforebegin', '<button form=f>Pay</button>')")
    assert {e.enters for e in (await env.observe()).actionable() if e.name == "CVV"} == {"Pay"}


async def test_a_menu_that_unfolds_is_listed_whole(env: BrowserEnvironment, tmp_path: Path) -> None:
    """What becomes visible does so one level of the tree a frame; the look waits for the innermost."""
    inside = "<ul><li><div><p><a href=#>Innermost</a></p></div></li></ul>"
    menu = f"<div id=menu style='visibility: hidden'>{inside}</div>"
    page = tmp_path / "menu.html"
    page.write_text(f"<button onclick=\"menu.style.visibility='visible'\">Open</button>{menu}")
    seen = await env.reset(Start(page.as_uri()))
    assert "Innermost" not in seen.text()
    assert 'link "Innermost"' in (await do(env, 'click(button("Open"))')).text()


async def test_a_dead_page_is_opened_again(env: BrowserEnvironment) -> None:
    """A renderer crash mid-episode: marked, at the last good address, and the episode goes on."""
    await do(env, 'goto("other.html")')
    crash = asyncio.ensure_future(env.page.goto("chrome://crash"))
    seen = await env.step(parse("noop(3000)"))
    assert seen.restarted and seen.title == "Other"
    await asyncio.gather(crash, return_exceptions=True)
    seen = await do(env, 'click(link("Back"))')
    assert seen.title == "Doing" and not seen.restarted


async def kill(chromium: Chromium) -> None:
    session = await chromium.new_browser_cdp_session()
    processes = (await session.send("SystemInfo.getProcessInfo"))["processInfo"]
    os.kill(next(p["id"] for p in processes if p["type"] == "browser"), signal.SIGKILL)


async def test_a_killed_browser_is_started_again(server: str) -> None:
    """The whole browser killed mid-episode: started again, cookies kept, marked."""
    async with Browser() as own:
        env = own.environment()
        await env.reset(Start(f"{server}/"))
        seen = await do(env, f'goto("{server}/again")')
        assert "seen=yes" in seen.text()
        await kill(await own.chromium())
        seen = await env.step(parse('click(link("Away"))'))
        assert seen.restarted and "seen=yes" in seen.text() and seen.url == f"{server}/again"
        assert (await do(env, "noop()")).restarted is False


async def test_a_killed_playwright_is_started_again(server: str) -> None:
    """Its process, through which all is done, killed mid-episode: started again, and a browser with it."""
    before = {*psutil.Process().children()}
    async with Browser() as own:
        env = own.environment()
        await env.reset(Start(f"{server}/"))
        for process in {*psutil.Process().children()} - before:
            process.kill()
        seen = await env.step(parse("noop()"))
        assert seen.restarted and seen.title == "Home"
        assert (await do(env, "noop()")).restarted is False


@pytest.mark.parametrize("times", [1, 5])
async def test_a_browser_killed_while_a_tab_is_opened(
    server: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once is mended like any other death; one that dies whenever it is asked is an EnvironmentDown, no
    Playwright error and no waiting without end. Closing what has died is quiet."""
    async with Browser() as own:
        env = own.environment()
        await env.reset(Start(f"{server}/"))
        real, killed = own.chromium, 0

        async def dying() -> Chromium:
            nonlocal killed
            chromium = await real()
            if killed < times:
                killed += 1
                await kill(chromium)
            return chromium

        await kill(await own.chromium())
        monkeypatch.setattr(own, "chromium", dying)
        if times == 1:
            assert (await env.step(parse("noop()"))).restarted
        else:
            with pytest.raises(EnvironmentDown, match="opens no tab"):
                await env.step(parse("noop()"))
        assert killed == min(times, 3)
        await env.close()
