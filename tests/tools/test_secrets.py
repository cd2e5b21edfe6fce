"""Secrets go into the page and nowhere else: real pages in a real Chromium."""

from __future__ import annotations

import io
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image
from regex import fullmatch

from tools import secrets
from tools.actions import parse
from tools.browser import Browser
from tools.environment import EnvironmentDown, Start
from tools.grammar import action_regex
from tools.guard import assess
from tools.observation import Box, Element, Observation
from tools.rules import Rules
from tools.settings import SettingsError

SECRET = "Grün & 7 Bäume"
PAGE = """<title>Sign in</title><label>Name <input id=n></label>
<label>Password <input id=p type=password></label>
<button onclick="document.title = p.value; out.textContent = 'Hello ' + p.value.toUpperCase();
link.textContent = p.value; link.href = '#' + encodeURIComponent(p.value);
long.textContent = 'x'.repeat(75) + ' ' + p.value; location.hash = p.value">Show</button>
<p id=out></p><a id=link href=#>none</a><p id=long></p><button onclick="alert(p.value)">Tell</button>"""

MOVING = """<div id=d style="position: absolute; color: red; font: 20px sans-serif">Grün &amp; 7 Bäume</div>
<script>let x = 0; function go() { x = (x + 40) % 900; d.style.left = x + 'px'; d.style.top = x / 2 + 'px';
requestAnimationFrame(go); } go()</script>"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SHOPFLOOR_SECRET_PASSWORD", SECRET)
    path = tmp_path / "page.html"
    path.write_text(PAGE)
    return path.as_uri()


def dark(png: bytes | None, box: Box) -> bool:
    assert png is not None
    image = Image.open(io.BytesIO(png)).convert("RGB")
    area = (int(box.x), int(box.y), int(box.x + box.width), int(box.y + box.height))
    return {color for _, color in image.crop(area).getcolors() or []} == {(0, 0, 0)}


async def test_only_the_page_gets_it(page: str, chromium_path: str) -> None:
    """Typed as given; afterwards no text, name, title, address or dialog has it, and the picture is black
    where it stands. Other words stay."""
    async with Browser() as browser:
        env = browser.environment()
        discreet = secrets.Discreet(env)
        await discreet.reset(Start(page))
        discreet.give(secrets.named_in('Sign in with "{{password}}".'))
        for call in ('fill(textbox("Password"), "{{password}}")', 'fill(textbox("Name"), "I: {{password}}")'):
            seen = await discreet.step(parse(call))
            assert seen.error is None
        assert await env.page.evaluate("[p.value, n.value]") == [SECRET, f"I: {SECRET}"]
        seen = await discreet.step(parse('click(button("Show"))'))
        for text in (seen.text(), seen.url, repr(seen)):
            assert not {"Grün", "GRÜN", "Bäume", "Gr%C3%BCn"} & {*text.replace('"', " ").split()}, text
            assert SECRET not in text and "B%C3%A4ume" not in text
        assert seen.title == "{{password}}" and 'textbox "Name" [1] = "I: {{password}}"' in seen.text()
        assert 'text "Hello {{password}}"' in seen.text() and seen.url.endswith("#{{password}}")
        shown = [e for e in seen.elements if "{{password}}" in e.name + (e.value or "")]
        assert len(shown) == 3 and all(dark(seen.screenshot, e.box) for e in shown)
        assert not dark(seen.screenshot, next(e.box for e in seen.elements if e.name == "Show"))
        told = await discreet.step(parse('click(button("Tell"))'))
        assert 'dialog "{{password}}"' in told.text() and dark(told.screenshot, Box(0, 0, 999, 700))
        assert dark((await discreet.step(parse("click(1)"))).screenshot, shown[0].box)


UNLISTED = """<title>Shown</title><body style="margin:0; font:16px monospace"><p id=far>{far}</p>
<p id=aria aria-hidden=true>It is GRÜN &amp; 7 bäume</p><button id=other aria-label=Other>Grün <b>&amp; 7
Bäume</b></button><input id=field aria-hidden=true><p id=plain aria-hidden=true>Nothing here</p>
<iframe id=frame style="padding:7px" srcdoc="<p aria-hidden=true>Grün &amp; 7 Bäume</p><p>clear</p>"></iframe>
<div style="height:3000px"></div>"""


async def test_a_place_that_breaks_down_tells_none(page: str, chromium_path: str) -> None:
    """Not even where it names the address that does not open."""
    async with Browser() as browser:
        discreet = secrets.Discreet(browser.environment())
        discreet.give(secrets.named_in("{{password}}"))
        with pytest.raises(EnvironmentDown, match=r"\?p=\{\{password\}\} does not open"):
            await discreet.reset(Start(f"http://127.0.0.1:9/?p={quote(SECRET)}"))


async def test_what_is_not_listed_is_painted_over_too(
    tmp_path: Path, chromium_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hidden from readers, named otherwise, behind the end of a long text, in a frame, scrolled: black where
    it stands, and nothing else is. No script of the page is told what is looked for."""
    monkeypatch.setenv("SHOPFLOOR_SECRET_PASSWORD", SECRET)
    path = tmp_path / "page.html"
    path.write_text(UNLISTED.replace("{far}", "word " * 120 + "😀 Grün &amp; 7 Bäume"))
    where = """([id, last]) => {
      const f = id === 'frame' ? frame : null, d = f ? f.contentDocument : document;
      const r = d.createRange(), e = f ? d.querySelector(last ? 'p:last-child' : 'p') : d.getElementById(id);
      if (e.value) r.selectNode(e); else r.selectNodeContents(e);
      const o = f ? f.getBoundingClientRect() : {x: -9, y: -9}, b = [...r.getClientRects()].pop();
      return [b.x + o.x + 9, b.y + o.y + 9, b.width, b.height]; }"""
    async with Browser() as browser:
        env = browser.environment()
        discreet = secrets.Discreet(env)
        await discreet.reset(Start(path.as_uri()))
        discreet.give(secrets.named_in("{{password}}"))
        await env.page.evaluate(f"field.value = {SECRET!r}; scrollTo(0, 30)")
        seen = await discreet.observe()
        assert "{{password}}" not in seen.text()
        for name, last, black in [
            ("far", True, True), ("aria", True, True), ("other", True, True), ("field", True, True),
            ("frame", False, True), ("plain", True, False), ("frame", True, False),
        ]:  # fmt: skip
            x, y, width, height = await env.page.evaluate(where, [name, last])
            inner = Box(x + 1, y + 1, width - 2, height - 2)
            assert dark(seen.screenshot, inner) is black, (name, inner)


async def test_what_moves_is_painted_over_wherever_it_stands(
    tmp_path: Path, chromium_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the picture and the asking where it stands it has gone on."""
    monkeypatch.setenv("SHOPFLOOR_SECRET_PASSWORD", SECRET)
    path = tmp_path / "page.html"
    path.write_text(MOVING)
    async with Browser() as browser:
        discreet = secrets.Discreet(browser.environment())
        discreet.give(secrets.named_in("{{password}}"))
        seen = await discreet.reset(Start(path.as_uri()))
        assert "{{password}}" in seen.text() and seen.screenshot is not None
        image = Image.open(io.BytesIO(seen.screenshot)).convert("RGB")
        assert not [c for _, c in image.getcolors(1 << 24) or [] if c[0] > 200 and c[1] < 80]  # red


@pytest.mark.parametrize(
    ("copy", "paste"),
    [("Control+c", "Control+v"), ("Control+Insert", "Shift+Insert"), ("Control+KeyX", "Control+Shift+V")],
)
async def test_a_copied_secret_is_not_pasted(page: str, copy: str, paste: str, chromium_path: str) -> None:
    """Out of a field that shows it; another text is."""
    async with Browser() as browser:
        env = browser.environment()
        discreet = secrets.Discreet(env)
        await discreet.reset(Start(page))
        discreet.give(secrets.named_in("{{password}}"))
        await env.page.evaluate("p.type = 'text'")
        for text, pasted in [("{{password}}", ""), ("harmless", "harmless")]:
            for call in (f'fill(1, "{text}")', 'press(1, "Control+a")', f'press(1, "{copy}")'):
                assert (await discreet.step(parse(call))).error is None
            seen = await discreet.step(parse(f'press(2, "{paste}")'))
            assert await env.page.evaluate("p.value") == pasted and bool(seen.error) is not bool(pasted)


async def test_a_page_that_changes_gets_nothing(page: str, chromium_path: str) -> None:
    """The field has become another one since it was looked at: nothing is typed, and that is said."""
    async with Browser() as browser:
        env = browser.environment()
        discreet = secrets.Discreet(env)
        await discreet.reset(Start(page))
        discreet.give(secrets.named_in("{{password}}"))
        await env.page.evaluate("document.querySelector('[id=p]').labels[0].firstChild.data = 'Comment '")
        seen = await discreet.step(parse('fill(2, "{{password}}")'))
        assert "the page changed" in (seen.error or "") and await env.page.evaluate("p.value") == ""


async def test_a_secret_of_an_earlier_task_is_typed_no_more(page: str, chromium_path: str) -> None:
    """It is only kept out of sight."""
    async with Browser() as browser:
        discreet = secrets.Discreet(browser.environment())
        await discreet.reset(Start(page))
        discreet.give(secrets.named_in("{{password}}"))
        await discreet.step(parse('fill(1, "{{password}}")'))
        discreet.give({})
        assert '"{{password}}"' in (await discreet.observe()).text()
        seen = await discreet.step(parse('fill(1, "not {{password}}")'))
        assert 'textbox "Name" [1] = "not {{password}}"' in seen.text()


def test_what_is_not_set_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable to set; a value that would be found everywhere is none."""
    with pytest.raises(SettingsError, match="set SHOPFLOOR_SECRET_CARD_NUMBER, SHOPFLOOR_SECRET_PIN"):
        secrets.named_in("Pay with {{card number}} and {{pin}}")
    for short in ("12", "1      ", "      "):
        monkeypatch.setenv("SHOPFLOOR_SECRET_PIN", short)
        with pytest.raises(SettingsError, match="too short"):
            secrets.named_in("{{pin}}")
    assert secrets.named_in("Nothing secret") == {}


@pytest.mark.parametrize(
    ("name", "value", "home", "decision"),
    [
        ("Password", None, "http://desk", "approve"),
        ("Anything", "•••", "http://desk", "approve"),
        ("Comment", None, "http://desk", "ask"),
        ("Password", None, "http://elsewhere", "refuse"),
        ("Password", None, "", "refuse"),
    ],
)
def test_where_a_secret_may_be_typed(name: str, value: str | None, home: str, decision: str) -> None:
    """Into a field for it, where the task started; a field that shows it is asked about."""
    field = Element(1, "textbox", name, Box(0, 0, 9, 9), value=value)
    seen = Observation("http://desk/x", "T", (99, 99), (field,), focused=1)
    for text in ('fill(1, "{{password}}")', 'keyboard_type("{{password}}")'):
        verdict = assess(parse(text), seen, "sign in with {{password}}", Rules(home=home))
        assert (verdict.kind, verdict.decision) == ("secret", decision)
    assert assess(parse('fill(1, "{{other}}")'), seen, "{{password}}", Rules(home=home)).decision in (
        "approve" if name == "Comment" else "ask"
    )


@pytest.mark.parametrize("goal", ['Sign in with "{{password}}".', "Sign in with {{password}}."])
def test_the_decoder_can_copy_it(goal: str) -> None:
    """Quoted or not, at a sentence's end too: what a small model may write includes the whole name."""
    field = Element(1, "textbox", "Password", Box(0, 0, 9, 9))
    seen = Observation("http://desk/x", "T", (99, 99), (field,))
    assert fullmatch(action_regex(seen, sources=[goal]), '"Password" fill(1, "{{password}}")')
