"""Drawing, selecting, copying, sliding and scrolling inside things, on a real page in a real Chromium."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from tools.actions import Action, Named, parse
from tools.browser import Browser, BrowserEnvironment
from tools.environment import Start
from tools.observation import Observation

PAGE = """<!doctype html><title>Mouse</title><style>body { margin: 0; font: 16px sans-serif }</style>
<canvas id=c width=200 height=100 style="border:0; display:block"></canvas>
<p>The <b>quick brown</b> fox jumps.</p>
<input aria-label=From value="carry me"><input aria-label=To>
<input type=range aria-label=Loudness min=0 max=10 value=5><input type=number aria-label=Guests value=3>
<div id=box style="height:60px; overflow:auto"><p>top</p><div style="height:400px"></div>
<button>Deep</button></div>
<p id=at style="height:20px" onmousemove="this.textContent = 'over'">idle</p>
<script>
const g = c.getContext('2d'); let down = false;
c.onmousedown = (e) => { down = true; g.beginPath(); g.moveTo(e.offsetX, e.offsetY); };
c.onmousemove = (e) => { if (down) { g.lineTo(e.offsetX, e.offsetY); g.lineWidth = 5; g.stroke(); } };
c.onmouseup = () => { down = false; };
</script>"""


@pytest.fixture
async def env(tmp_path: Path) -> AsyncIterator[BrowserEnvironment]:
    page = tmp_path / "mouse.html"
    page.write_text(PAGE)
    async with Browser() as browser:
        made = browser.environment()
        await made.reset(Start(page.as_uri(), viewport=(400, 400)))
        yield made


def value(look: Observation, role: str, name: str) -> str | None:
    found = look.find(Named(role, name))
    assert found is not None, look.text()
    return found.value


async def test_a_path_is_drawn_through_its_points(env: BrowserEnvironment) -> None:
    """Pressed at the first point, moved through the corner, let go at the last: both legs are drawn."""
    look = await env.step(parse("mouse_path([25, 25, 250, 25, 250, 200])"))
    assert look.error is None and look.screenshot is not None
    with Image.open(io.BytesIO(look.screenshot)) as image:
        drawn = image.convert("L")
        assert drawn.getpixel((50, 10)) < 100 and drawn.getpixel((100, 50)) < 100
        assert drawn.getpixel((50, 50)) > 200
    before = look.screenshot
    await env.step(parse("mouse_move(100, 100)"))
    assert (await env.step(parse("mouse_move(200, 150)"))).screenshot == before  # the button is up again


async def test_text_is_selected_and_copied(env: BrowserEnvironment) -> None:
    """A text over several elements gets selected; shortcuts copy and paste it, from a field too."""
    look = await env.step(parse('select_text("quick brown fox")'))
    assert look.error is None
    assert await env.page.evaluate("String(getSelection())") == "quick brown fox"
    await env.step(parse('keyboard_press("Control+c")'))
    look = await env.step(parse('press(textbox("To"), "Control+v")'))
    assert value(look, "textbox", "To") == "quick brown fox"
    for keys in ('press(textbox("From"), "Control+a")', 'keyboard_press("Control+x")'):
        await env.step(parse(keys))
    look = await env.step(parse('press(textbox("To"), "Control+v")'))
    assert value(look, "textbox", "From") is None and "carry me" in (value(look, "textbox", "To") or "")
    look = await env.step(parse('select_text("slow fox")'))
    assert look.error is not None and "not to be seen" in look.error
    await env.page.evaluate("document.querySelector('b').setAttribute('onclick', 'document.title = 1')")
    await env.observe()
    assert "to click" in ((await env.step(parse('select_text("quick brown")'))).error or "")
    look = await env.step(parse('select_text("The quick")'))
    assert look.error is None and look.title == "Mouse"


async def test_a_clipboard_belongs_to_its_episode(env: BrowserEnvironment, tmp_path: Path) -> None:
    """Side by side, each pastes what it has copied itself; a page's own paste handling has its say."""
    other = env._browser.environment()
    await other.reset(Start((tmp_path / "mouse.html").as_uri(), viewport=(400, 400)))
    for one, text in ((env, "quick"), (other, "jumps")):
        await one.step(Action("select_text", (text,)))
        await one.step(parse('keyboard_press("Control+c")'))
    for one, text in ((env, "quick"), (other, "jumps")):
        look = await one.step(parse('press(textbox("To"), "Control+v")'))
        assert value(look, "textbox", "To") == text
    await env.page.evaluate("""() => { document.querySelector('[aria-label=From]').onpaste = (e) => {
      e.preventDefault(); e.target.value = e.clipboardData.getData('text/plain').toUpperCase(); } }""")
    look = await env.step(parse('press(textbox("From"), "Control+v")'))
    assert value(look, "textbox", "From") == "QUICK"


async def test_sliders_and_spinners(env: BrowserEnvironment) -> None:
    """Arrow keys and filling in set them; a drag along the slider does too."""
    look = await env.step(parse('press(slider("Loudness"), "ArrowRight")'))
    assert value(look, "slider", "Loudness") == "6"
    look = await env.step(parse('fill(slider("Loudness"), "9")'))
    assert value(look, "slider", "Loudness") == "9"
    slider = look.find(Named("slider", "Loudness"))
    assert slider is not None
    (x, y), left = slider.box.centre, slider.box.x + 3
    start = look.thousandths(x + 0.4 * (slider.box.width - 16), y)
    look = await env.step(Action("mouse_drag_and_drop", (*start, *look.thousandths(left, y))))
    assert value(look, "slider", "Loudness") == "0"
    look = await env.step(parse('press(spinbutton("Guests"), "ArrowUp")'))
    assert value(look, "spinbutton", "Guests") == "4"


async def test_scrolling_inside_and_moving_over(env: BrowserEnvironment) -> None:
    """The mouse brings an event of its own; a box under it scrolls, the page does not."""
    box = await env.page.evaluate("box.getBoundingClientRect().toJSON()")
    look = await env.observe()
    await env.step(Action("mouse_move", look.thousandths(50, box["y"] + 20)))
    look = await env.step(parse("scroll(0, 500)"))
    deep = look.find(Named("button", "Deep"))
    assert deep is not None and await env.page.evaluate("[box.scrollTop > 300, scrollY]") == [True, 0]
    look = await env.step(Action("scroll", (0, -500, deep.ref or 0)))
    assert look.error is None and await env.page.evaluate("box.scrollTop") == 0
    at = await env.page.evaluate("at.getBoundingClientRect().toJSON()")
    look = await env.step(Action("mouse_move", look.thousandths(10, at["y"] + 10)))
    assert "over" in look.text()
