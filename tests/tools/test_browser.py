"""The browser environment on real pages in a real Chromium: what it sees."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tools.actions import parse
from tools.browser import Browser, BrowserEnvironment
from tools.environment import EnvironmentDown, Start
from tools.observation import MAX_ELEMENTS, Observation

PAGES = Path(__file__).parent / "pages"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with Browser() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def env(browser: Browser) -> AsyncIterator[BrowserEnvironment]:
    made = browser.environment()
    yield made
    await made.close()


def page(name: str, **more: object) -> Start:
    return Start((PAGES / name).as_uri(), **more)  # type: ignore[arg-type]


def lines(seen: Observation) -> list[str]:
    return seen.text().splitlines()


def size(png: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def pixels(png: bytes) -> bytes:
    """The raw image data of a PNG, filters and all: equal when the picture is."""
    data, at = b"", 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += 12 + length
    return zlib.decompress(data)


async def test_a_form_is_short_and_complete(env: BrowserEnvironment) -> None:
    """Names from labels, aria, placeholder and title; values, masked passwords, options, states."""
    seen = await env.reset(page("form.html"))
    assert lines(seen) == [
        "page: A form (form.html)",
        'heading "New ticket"',
        'text "Please fill in all fields."',
        'textbox "Subject" [1] = "old" required',
        'combobox "Priority" [2] = "normal" of low|normal|high',
        'listbox "Tags" [3] = "red, blue" of red|green|blue',
        'checkbox "VIP" [4] checked',
        'radio "First" [5]',
        'radio "Second" [6] checked',
        'textbox "Search" [7]',
        'textbox "Password" [8] = "••••••"',
        'textbox "Due" [9]',
        'spinbutton "Count" [10] = "3"',
        'textbox "Notes" [11] = "hello"',
        'textbox "Fixed" [12] = "fixed" readonly',
        'textbox "Colour" [13]',
        'button "Locked" [14] disabled',
        'button "Bold" [15] pressed',
        'button "Send" [16]',
        'link "Help" [17]',
        'button "Close" [18]',
    ]


async def test_looks_are_named_and_what_cannot_be_seen_is_left_out(env: BrowserEnvironment) -> None:
    """Shapes, coloured boxes, icons, drawn toggles; nothing hidden; a link's text is not said twice."""
    text = (await env.reset(page("looks.html"))).text()
    for wanted in [
        'clickable "red box"',
        'clickable "blue circle"',
        'img "green circle"',
        'img "yellow square"',
        'img "purple triangle"',
        'button "gear"',
        'clickable "trash"',
        'img "Warning"',
        'img "Our logo"',
        'checkbox "Dark mode"',
        'clickable "Plain clickable"',
        'clickable "Listens"',
        'combobox "Fruit"',
        'text "Ada"',
        'text "gold"',
        'text "A merged line with"',
        'link "a link"',
        'button "More"',
        'button "Pressed" [16] disabled pressed',
    ]:
        assert wanted in text
    assert "more: scroll" not in text
    for unwanted in ["Never", "Nor", "apple", "Folded", "dark mode [", 'text "a link"', 'text "Dark']:
        assert unwanted not in text


async def test_text_that_nobody_can_see_is_left_out(env: BrowserEnvironment) -> None:
    """Tiny, faint, clipped, or in the colour of what is behind it, also within a name; what only looks so to
    a careless reader stays."""
    text = (await env.reset(page("unseen.html"))).text()
    assert "ever" not in text
    for wanted in ("on a box", "on a gradient", "cut out", "by its shadow", "though pale", "though small"):
        assert f'text "Seen {wanted}"' in text
    for wanted in (
        '"Seen through"',
        '"Seen in a frame"',
        'link "Link"',
        'button "Button"',
        '"Field"',
        '"Heading"',
    ):
        assert wanted in text


async def test_halves_of_characters_are_none(browser: Browser, tmp_path: Path) -> None:
    """A page that has some in its text, its title, a table and a dialog, and a name that is cut in the middle
    of an emoji: what is seen can be sent to a model and written down."""
    file = tmp_path / "halves.html"
    file.write_text(
        f"<meta charset=utf-8><button id=b></button><button>{'a' * 299}\U0001f600</button>"
        "<table><td id=c></table><script>"
        "document.title = 'T\\ud801'; b.textContent = 'half \\ud800'; c.textContent = '\\udc00';"
        "b.onclick = () => alert('no \\ud83d')</script>"
    )
    env = browser.environment()
    seen = await env.reset(Start(file.as_uri()))
    assert (seen.title, seen.elements[0].name) == ("T\ufffd", "half \ufffd")
    assert seen.elements[1].name == "a" * 299 + "\ufffd"
    assert (await env.tables())[0].rows == (("\ufffd",),)
    asked = await env.step(parse("click(1)"))
    assert asked.elements[0].name == "no \ufffd" and (seen.text() + asked.text()).encode()
    await env.close()


async def test_what_a_form_calls_its_fields_hides_nothing(browser: Browser, tmp_path: Path) -> None:
    """A field named as a property of its form, or a picture as one of the document, stands in its place."""
    (tmp_path / "tags.html").write_text(
        "<title>Tags</title><img name=title hidden><form name=body><input name=tagName aria-label=Tag>"
        "<input name=matches aria-label=Goals><button>Add</button></form>"
    )
    env = browser.environment()
    seen = await env.reset(Start((tmp_path / "tags.html").as_uri()))
    assert seen.title == "Tags"
    assert [e.name for e in seen.elements] == ["Tag", "Goals", "Add"]
    await env.close()


async def test_frames_and_shadow_roots(env: BrowserEnvironment) -> None:
    """Nested frames (file pages are cross-origin here) and open shadow roots can be read and used."""
    seen = await env.reset(page("frames.html"))
    assert [line.split(" [")[0] for line in lines(seen)[1:]] == [
        'text "Outside"',
        'text "Inside"',
        'button "Inner"',
        'textbox "Deep"',
        'button "Deepest"',
        'textbox "Shadow field"',
        'button "Shadow button"',
    ]
    for call in ['click(button("Inner"))', 'fill(textbox("Deep"), "down")', 'click(button("Deepest"))']:
        seen = await env.step(parse(call))
        assert seen.error is None
    assert 'button "Inner done"' in seen.text() and 'button "deep down"' in seen.text()
    await env.step(parse('fill(textbox("Shadow field"), "s")'))
    seen = await env.step(parse('click(button("Shadow button"))'))
    assert 'text "shadow: s"' in seen.text()


async def test_a_modal_hides_what_is_under_it(env: BrowserEnvironment) -> None:
    """What lies wholly under something else is not listed; the overlay is."""
    await env.reset(page("doing.html"))
    seen = await env.step(parse('click(button("Cover"))'))
    assert 'clickable "Please wait"' in seen.text() or 'text "Please wait"' in seen.text()
    assert 'button "Alert"' not in seen.text()


async def test_a_page_of_two_thousand_nodes_stays_usable(env: BrowserEnvironment) -> None:
    """Only what is on screen is listed, within the bound; the rest is counted and reached by scrolling."""
    seen = await env.reset(page("long.html"))
    assert len(seen.elements) <= MAX_ELEMENTS
    assert seen.hidden > 1000 and f"{seen.hidden} more: scroll" in seen.text()
    refs = [e.ref for e in seen.actionable()]
    assert refs == list(range(1, len(refs) + 1))
    assert 'link "link 300"' not in seen.text()
    seen = await env.step(parse("scroll(0, 5990)"))
    assert 'link "link 301"' in seen.text() and 'link "link 1"' not in seen.text()
    assert all(e.box.y + e.box.height > 0 and e.box.y < 768 for e in seen.elements)
    began = time.perf_counter()
    for _ in range(3):
        await env.observe()
    assert (time.perf_counter() - began) / 3 < 3  # generous: other work may be running


@pytest.mark.parametrize(("viewport", "scale"), [((160, 210), 1), ((1024, 768), 2), ((777, 333), 1.5)])
async def test_thousandths_come_back_through_a_real_click(
    browser: Browser, viewport: tuple[int, int], scale: float
) -> None:
    """A point goes from pixels to thousandths, through a click, to the pixel the page saw."""
    env = browser.environment(device_scale_factor=scale)
    seen = await env.reset(page("canvas.html", viewport=viewport))
    assert seen.screenshot is not None and size(seen.screenshot) == viewport
    for fx, fy in [(0, 0), (0.5, 0.5), (0.25, 0.9), (0.999, 0.999)]:
        x, y = viewport[0] * fx, viewport[1] * fy
        tx, ty = seen.thousandths(x, y)
        assert (await env.step(parse(f"mouse_click({tx}, {ty})"))).error is None
        hit = (await env.page.evaluate("hits"))[-1]
        assert abs(hit[0] - x) <= viewport[0] / 2000 + 1 and abs(hit[1] - y) <= viewport[1] / 2000 + 1
    assert 'canvas ""' in (await env.observe()).text()
    await env.close()


async def test_the_same_page_gives_the_same_pixels(env: BrowserEnvironment) -> None:
    """No blinking caret, no animation: two episodes on one page end with equal pictures."""
    shots = []
    for _ in range(2):
        await env.reset(page("form.html"))
        shots.append((await env.step(parse("click(1)"))).screenshot)
    assert shots[0] is not None and shots[1] is not None and pixels(shots[0]) == pixels(shots[1])


async def test_focus_is_told_by_ref(env: BrowserEnvironment) -> None:
    """The focused field's ref is in the observation."""
    await env.reset(page("form.html"))
    assert (await env.step(parse('click(textbox("Search"))'))).focused == 7


async def test_environments_side_by_side_share_nothing(browser: Browser) -> None:
    """Two environments of one browser do not see each other's values."""
    one, two = browser.environment(), browser.environment()
    await one.reset(page("form.html"))
    await two.reset(page("form.html"))
    await one.step(parse('fill(1, "mine")'))
    assert '"old"' in (await two.observe()).text() and '"mine"' in (await one.observe()).text()
    await one.close()
    await two.close()


async def test_a_start_that_does_not_open_says_so(env: BrowserEnvironment) -> None:
    """Nothing listens on port 9: reset raises with advice."""
    with pytest.raises(EnvironmentDown, match="is it running"):
        await env.reset(Start("http://127.0.0.1:9/"))
