"""`shopfloor view`: its page in a real browser, over real stores of episodes of a real page."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Browser, Page, async_playwright, expect

from agents.policies import Decision
from apps.main import main
from apps.viewer.animation import GOAL_LINES, LINE, MARGIN
from apps.viewer.marks import Marks, marks
from tools.actions import parse
from tools.chromium import LAUNCH_ARGS
from tools.observation import Box, Element, Observation
from trajectories.catalogue import Catalogue
from trajectories.episode import Episode, Step
from trajectories.store import Store
from trajectories.tasks import Outcome

HTML = """<body style="margin: 20px; font: 16px sans-serif"><p><label>Name <input></label>
<p><button>Save</button> <button style="margin-left: 200px">Cancel</button>"""
THINGS = [("textbox", "Name"), ("button", "Save"), ("button", "Cancel")]
OURS = r"http://127\.0\.0\.1:|data:,$"
VIEW = [sys.executable, "-m", "apps.main", "view"]


@pytest.fixture(scope="module")
def seen(chromium_path: str) -> Observation:
    """A look at a small page: its pixels and its elements' boxes as a browser has them."""
    from playwright.sync_api import sync_playwright

    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium_path, args=LAUNCH_ARGS) as browser,
    ):
        page = browser.new_page(viewport={"width": 640, "height": 400})
        page.set_content(HTML)
        elements = []
        for ref, (role, name) in enumerate(THINGS, start=1):
            place = page.get_by_role(role, name=name).bounding_box()  # type: ignore[arg-type]
            assert place is not None
            elements.append(Element(ref, role, name, Box(**place)))
        shot = page.screenshot()
    return Observation("http://a.example/form", "Form", (640, 400), tuple(elements), shot)


def episode(
    look: Observation,
    seed: int,
    *actions: str,
    family: str = "save",
    by: str = "oracle",
    good: bool = True,
    error: str | None = None,
) -> Episode:
    """One in which these were done on that page; `error` is what the last of them came to."""
    return Episode(
        id=f"form-{family}-{seed}-{by}",
        task=f"form/{family}/{seed}",
        goal=f'Save "Ada {seed}" <b>now</b>',
        steps=tuple(Step(look, Decision(parse(action)), by, 0.1) for action in actions),
        final=replace(look, error=error),
        outcome=Outcome(good),
        ended="done",
        policy=by,
        model="",
        started="2026-11-24T10:00:00+00:00",
    )


@dataclass(frozen=True)
class Served:
    """A running `shopfloor view`, and what it looks at."""

    url: str
    good: Store
    bad: Store


def test_an_episode_becomes_an_animated_picture(
    seen: Observation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A frame for each step and one for the end, the element acted on boxed in red where it lies; another
    ending, another folder or a step without a picture is one line that says what is wrong."""
    store = Store(tmp_path / "store")
    made = episode(seen, 1, 'fill(1, "Ada")', "click(2)", 'send_msg_to_user("done")')
    folder = store.add(made)
    for name in ("run.webp", "run.gif"):
        out = tmp_path / name
        assert main(["view", "--json", "--animate", str(out), str(folder)]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["frames"] == 4 and said["bytes"] == out.stat().st_size
        with Image.open(out) as picture:
            assert picture.n_frames == 4 and picture.is_animated
            save = seen.elements[1].box
            picture.seek(1)
            top = round(save.y * 720 / 640) + GOAL_LINES * LINE + 2 * MARGIN - 1
            red, green, blue = picture.convert("RGB").getpixel((round(save.centre[0] * 720 / 640), top))
            assert red > 150 and green < 110 and blue < 110, (red, green, blue)
    assert main(["view", "--animate", str(tmp_path / "run.mp4"), str(folder)]) == 2
    assert "call it .webp or .gif" in capsys.readouterr().err
    assert main(["view", "--animate", str(tmp_path / "run.gif"), str(store.path)]) == 2
    assert "episode.json" in capsys.readouterr().err
    blind = store.add(replace(made, id="blind", final=replace(seen, screenshot=None)))
    assert main(["view", "--animate", str(tmp_path / "run.gif"), str(blind)]) == 2
    assert "without a screenshot" in capsys.readouterr().err


@pytest.fixture(scope="module")
def served(seen: Observation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The command itself over two folders: 60 good episodes, one of them broken, and two bad ones."""
    root = tmp_path_factory.mktemp("view")
    good, bad = Store(root / "good" / "episodes"), Store(root / "bad")
    for seed in range(59):
        good.add(episode(seen, seed, 'fill(1, "Ada")', "click(2)", 'send_msg_to_user("done")'))
    good.add(episode(seen, 0, "mouse_drag_and_drop(100, 250, 500, 750)", family="drag"))
    bad.add(episode(seen, 7, "click(3)", by="random", good=False, error="nothing happened"))
    bad.add(episode(seen, 40, "click(3)", by="nano-1", good=False))
    (good.path / "form-save-58-oracle" / "episode.json").write_text("{")
    command = [*VIEW, str(root / "good"), str(root / "bad"), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        try:
            assert json.loads(said)["episodes"] == 62
            yield Served(json.loads(said)["url"], good, bad)
        finally:
            process.send_signal(signal.SIGINT)
            rest, wrong = process.communicate(timeout=30)
            assert (process.returncode, rest, wrong) == (0, "", "")


@pytest.fixture
async def page(chromium_path: str) -> AsyncIterator[Page]:
    """A browser's page in which nothing may go wrong or be asked of another place."""
    async with async_playwright() as playwright:
        browser: Browser = await playwright.chromium.launch(executable_path=chromium_path, args=LAUNCH_ARGS)
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("request", lambda r: None if re.match(OURS, r.url) else wrong.append(r.url))
        yield page
        await browser.close()
        assert wrong == []


async def test_filters_narrow_the_list(served: Served, page: Page) -> None:
    """By result, by who and by words in the goal; a page of rows at a time; the address keeps it."""
    await page.goto(served.url)
    rows = page.locator("#rows button[data-episode]")
    await expect(page.locator("#total")).to_have_text("62")
    await expect(rows).to_have_count(50)
    await page.get_by_role("button", name="Later page").click()
    await expect(rows).to_have_count(12)
    await page.get_by_role("button", name=re.compile("^failure")).click()
    await expect(rows).to_have_count(2)
    await page.locator("select[name=by]").select_option("random")
    await expect(rows).to_have_count(1)
    await expect(page.locator(".pane h2")).to_have_text('Save "Ada 7" <b>now</b>')  # text, never markup
    await page.locator("select[name=by]").select_option("")
    await page.keyboard.press("f")
    await page.keyboard.type("ada 4")
    await expect(rows).to_have_text([re.compile("Ada 40.*nano-1")])
    await page.reload()
    await expect(rows).to_have_text([re.compile("Ada 40.*nano-1")])
    await expect(page.locator("#q")).to_have_value("ada 4")


async def test_keys_step_and_go_on(served: Served, page: Page) -> None:
    """j and k walk the steps, n and p the episodes, over a page's edge too; the browser's Back goes back."""
    await page.goto(f"{served.url}#e=0/form-save-7-oracle")
    here = page.locator(".film [aria-current]")
    await expect(here).to_have_text("1 fill")
    for key, shown in [("j", "2 click"), ("ArrowRight", "3 send msg to user"), ("j", "end"), ("j", "end")]:
        await page.keyboard.press(key)
        await expect(here).to_have_text(shown)
    await page.keyboard.press("k")
    await expect(here).to_have_text("3 send msg to user")
    assert page.url.endswith("s=3")
    await page.keyboard.press("n")
    await expect(page.locator(".pane")).to_have_attribute("data-id", "form-save-7-random")
    await expect(here).to_have_text("1 click")
    await page.keyboard.press("p")
    await expect(page.locator(".pane")).to_have_attribute("data-id", "form-save-7-oracle")
    await page.go_back()
    await expect(page.locator(".pane")).to_have_attribute("data-id", "form-save-7-random")
    await page.goto(f"{served.url}#e=0/form-save-45-oracle")
    await page.reload()
    await expect(page.locator(".pane")).to_have_attribute("data-id", "form-save-45-oracle")
    for key, seed, range_ in [("n", 46, "51–62"), ("p", 45, "1–50")]:
        await page.keyboard.press(key)
        await expect(page.locator(".pane")).to_have_attribute("data-id", f"form-save-{seed}-oracle")
        await expect(page.locator("#range")).to_have_text(f"{range_} of 62")


async def test_box_is_drawn_where_the_element_is(served: Served, seen: Observation, page: Page) -> None:
    """The box on screen is the element's box, scaled as the screenshot is, at any window's width."""
    save = seen.elements[1].box
    for width in (1024, 1600):
        await page.set_viewport_size({"width": width, "height": 800})
        await page.goto(f"{served.url}#e=0/form-save-3-oracle&s=2")
        await page.reload()
        image = await page.locator(".shot img").bounding_box()
        drawn = await page.locator(".shot rect.target").evaluate(
            "r => { const b = r.getBBox(), m = r.getScreenCTM();"
            " return [m.a * b.x + m.e, m.d * b.y + m.f, m.a * b.width, m.d * b.height] }"
        )
        assert image is not None
        scale = image["width"] / 640
        wanted = [
            image["x"] + save.x * scale,
            image["y"] + save.y * scale,
            save.width * scale,
            save.height * scale,
        ]
        assert drawn == pytest.approx(wanted, abs=0.6)
        assert image["height"] / image["width"] == pytest.approx(400 / 640, abs=0.005)
        await expect(page.locator(".shot .label")).to_have_text("click")
        await expect(page.locator(".text .acted")).to_have_text('button "Save" [2]')


async def test_pointing_at_a_line_shows_its_box(served: Served, page: Page) -> None:
    """The element whose line the mouse is on is lit, and only while it is."""
    await page.goto(f"{served.url}#e=0/form-save-3-oracle")
    await page.get_by_text('button "Cancel" [3]').hover()
    await expect(page.locator(".element.lit")).to_have_attribute("data-element", "2")
    await page.locator("h1").hover()
    await expect(page.locator(".element.lit")).to_have_count(0)


async def test_compare_puts_good_and_bad_side_by_side(served: Served, page: Page) -> None:
    """c opens the nearest of the family that ended the other way, another can be picked, c ends it."""
    await page.goto(f"{served.url}#e=0/form-save-9-oracle&s=1")
    await page.keyboard.press("c")
    panes = page.locator(".pane")
    await expect(panes).to_have_count(2)
    await expect(panes.nth(0)).to_have_attribute("data-result", "success")
    await expect(panes.nth(1)).to_have_attribute("data-id", "form-save-7-random")
    await expect(panes.nth(1).get_by_text("Failed: nothing happened")).to_be_visible()
    levels = [await panes.nth(i).locator(".shot").bounding_box() for i in (0, 1)]
    assert levels[0] and levels[1] and levels[0]["y"] == levels[1]["y"]
    await page.get_by_label("Compare with").select_option("1/form-save-40-nano-1")
    await expect(panes.nth(1)).to_have_attribute("data-id", "form-save-40-nano-1")
    await page.reload()
    await expect(panes.nth(1)).to_have_attribute("data-id", "form-save-40-nano-1")
    await page.keyboard.press("c")
    await expect(panes).to_have_count(1)


async def test_broken_episodes_say_why(served: Served, page: Page) -> None:
    """One with a damaged document is listed as broken; one with a damaged image says so when opened."""
    await page.goto(f"{served.url}#result=broken")
    await expect(page.locator("#rows button[data-episode]")).to_have_count(1)
    await expect(page.locator(".pane .why")).to_contain_text("episode.json is not what was written")
    folder = served.good.path / "form-save-57-oracle" / "images"
    next(folder.iterdir()).write_bytes(b"no picture")
    await page.goto(f"{served.url}#e=0/form-save-57-oracle")
    await expect(page.locator(".pane")).to_have_attribute("data-id", "form-save-57-oracle")
    await expect(page.locator(".pane .why")).to_contain_text("png is not what was written")
    await page.keyboard.press("p")
    await expect(page.locator(".pane header h2")).to_contain_text("Ada 56")


async def test_new_episodes_appear(served: Served, seen: Observation, page: Page) -> None:
    """What is made while the viewer runs is there at the next look."""
    await page.goto(f"{served.url}#family=late")
    await expect(page.locator("#rows .none")).to_be_visible()
    served.bad.add(episode(seen, 0, "click(2)", family="late", good=False))
    await page.reload()
    await expect(page.locator("#rows button[data-episode]")).to_have_count(1)


def test_marks_follow_the_action_table(seen: Observation) -> None:
    """Elements by their boxes, points from thousandths to pixels, drags from one to another, words."""
    name, save, cancel = (e.box for e in seen.elements)
    assert marks(seen, parse('fill(1, "Ada")')) == Marks((name,), (), "Ada")
    assert marks(seen, parse("click(2)")) == Marks((save,), (save.centre,))
    assert marks(seen, parse('click(button("Save"))')) == Marks((save,), (save.centre,))
    assert marks(seen, parse("drag_and_drop(2, 3)")) == Marks((save, cancel), (save.centre, cancel.centre))
    assert marks(seen, parse("mouse_click(500, 250)")) == Marks((), ((320, 100),))
    assert marks(seen, parse("mouse_drag_and_drop(0, 0, 1000, 500)")).line == ((0, 0), (640, 200))
    assert marks(seen, parse("mouse_path([0, 0, 500, 250, 1000, 0])")).line == ((0, 0), (320, 100), (640, 0))
    assert marks(seen, parse("scroll(0, 100)")) == Marks((), ((320, 150), (320, 250)))
    x, y = save.centre
    assert marks(seen, parse("scroll(0, -9000, 2)")) == Marks(
        (save,), ((x, y + 90), (x, 0))
    )  # stays on the page
    assert marks(seen, parse('select_text("Canc")')) == Marks((cancel,), (), "Canc")
    assert marks(replace(seen, focused=1), parse('keyboard_type("Ada")')) == Marks((name,), (), "Ada")
    assert marks(seen, parse("click(9)")) == Marks()  # not on the page: nothing to draw, and no error
    assert marks(seen, parse('select_option(1, ["a", "b"])')).words == "a, b"


def test_a_file_outside_is_never_served(served: Served) -> None:
    """Neither by dots nor by odd names, nor to a page that calls this machine by another name."""
    one = "api/episodes/0/form-save-3-oracle"
    secret = served.good.path.parent / "secret.png"
    secret.write_bytes(b"secret")
    for path in (
        f"{one}/images/..%2F..%2F..%2Fsecret.png",
        f"{one}/images/%2e%2e/%2e%2e/%2e%2e/secret.png",
        "api/episodes/0/..%2Fgood",
        "api/episodes/0/../../secret.png",
        "api/episodes/9/form-save-3-oracle",
        "static/..%2Fapp.py",
        f"{one}/images/SHA256SUMS",
    ):
        assert status(served.url + path) == 404, path
    assert status(served.url) == 200
    assert status(served.url, Host="evil.example") == 400


def status(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        refused.close()
        return refused.code


def test_catalogue_reads_each_episode_once(seen: Observation, tmp_path: Path) -> None:
    """A second catalogue has its rows from the state folder; what changed is read anew, what went is gone."""
    store = Store(tmp_path)
    for seed in (3, 10, 2):
        store.add(episode(seen, seed, "click(2)"))
    rows = Catalogue(store).rows()
    assert [row.seed for row in rows] == [2, 3, 10]
    assert (rows[0].suite, rows[0].family, rows[0].result, rows[0].steps) == ("form", "save", "success", 1)
    kept = store.path / "form-save-3-oracle" / "episode.json"
    stamp = kept.stat()
    kept.write_text("not read again while its time of change is the same")
    os.utime(kept, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    again = Catalogue(store)
    assert again.rows() == rows
    os.utime(kept)
    (store.path / "form-save-2-oracle").rename(tmp_path.parent / "moved")
    found = {row.seed: row.result for row in again.rows() if row.task}
    assert found == {10: "success"}
    assert [row.id for row in again.rows() if row.result == "broken"] == ["form-save-3-oracle"]


def test_a_catalogue_that_cannot_be_kept_is_read_all_the_same(
    seen: Observation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the disk is full: it is only slower the next time."""
    store = Store(tmp_path)
    store.add(episode(seen, 3, "click(2)"))

    def full(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("trajectories.catalogue.write_whole", full)
    assert [row.seed for row in Catalogue(store).rows()] == [3]


@pytest.mark.parametrize("make", ["missing", "file", "empty"])
def test_nothing_to_look_at(make: str, tmp_path: Path) -> None:
    """A missing folder or a file is wrong use, a folder without episodes a failure; one line says which."""
    place = tmp_path / "place"
    if make == "file":
        place.write_text("")
    elif make == "empty":
        place.mkdir()
    shown = subprocess.run([*VIEW, str(place)], capture_output=True, text=True, timeout=60)
    assert shown.returncode == (1 if make == "empty" else 2)
    assert str(place) in shown.stderr and shown.stderr.count("\n") == 1
    assert shown.stdout == ""
    assert not place.is_dir() or not any(place.iterdir())  # nothing is written where there is no store


def test_a_taken_port_says_so(served: Served) -> None:
    """Another on the same port ends at once, with the mend."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        shown = subprocess.run([*VIEW, str(served.bad.path), "--port", port], capture_output=True, text=True)
    assert shown.returncode == 2
    assert port in shown.stderr and "--port" in shown.stderr
