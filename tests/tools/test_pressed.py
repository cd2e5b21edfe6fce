"""Whatever presses something is judged by it: the policy on what a real Chromium shows of real pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from tools.actions import Named, parse
from tools.browser import Browser, BrowserEnvironment
from tools.environment import Start
from tools.guard import assess
from tools.observation import Observation
from tools.rules import Rules

pytestmark = pytest.mark.asyncio(loop_scope="module")
FAR = "style='position:absolute;top:4000px'"
DELETE = "<button id=b {}>Delete account</button>"
FRAME = '<iframe id=f {} srcdoc="<button id=b>Delete account</button>"></iframe>'
ROOT = "<div id=h></div><script>h.attachShadow({{mode: '{}'}}).innerHTML = `{}`</script>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with Browser() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def env(browser: Browser) -> AsyncIterator[BrowserEnvironment]:
    made = browser.environment()
    yield made
    await made.close()


async def shown(env: BrowserEnvironment, folder: Path, body: str, focus: str = "") -> Observation:
    """The page, after a script has set the focus."""
    page = folder / "page.html"
    page.write_text(f"<title>T</title>{body}<p style='height:9000px'>")
    await env.reset(Start(page.as_uri()))
    await env.page.evaluate(f"() => {{ const to = (el) => el.focus({{ preventScroll: true }}); {focus} }}")
    return await env.observe()


OUT_OF_SIGHT = {
    "off screen": (DELETE.format(FAR), "to(b)"),
    "not listed": (DELETE.format("aria-hidden=true"), "to(b)"),
    "one pixel": (DELETE.format("style='width:1px;height:1px;padding:0;border:0'"), "to(b)"),
    "open root": (ROOT.format("open", DELETE.format(FAR)), "to(h.shadowRoot.querySelector('button'))"),
    "frame off screen": (FRAME.format(FAR), "to(f.contentDocument.querySelector('button'))"),
    "frame in sight": (FRAME.format(""), "to(f.contentDocument.querySelector('button'))"),
    "pointed at": (
        f"<p id=l tabindex=0 aria-activedescendant=o>x<b id=o role=option {FAR}>Delete account</b></p>",
        "to(l)",
    ),
    "an OK whose question is out of sight": (f"<button id=b {FAR}>OK</button>", "to(b)"),
    "the field of a form out of sight": (
        f"<form {FAR}><input id=b aria-label=Sum><button>Pay now</button></form>", "to(b)"
    ),
    "beyond the limit": ("<button>x</button>" * 130 + DELETE.format(""), "to(b)"),
}  # fmt: skip


@pytest.mark.parametrize("case", OUT_OF_SIGHT)
async def test_enter_presses_what_has_the_focus_seen_or_not(
    env: BrowserEnvironment, tmp_path: Path, case: str
) -> None:
    """A button or a form that the reader does not list is pressed by Enter all the same, and so is asked."""
    seen = await shown(env, tmp_path, *OUT_OF_SIGHT[case])
    for call in ('keyboard_press("Enter")', 'keyboard_type("a\\n")'):
        assert assess(parse(call), seen, "").decision == "ask", seen.reached()
    assert assess(parse('keyboard_press("ArrowDown")'), seen, "").decision == "approve"


async def test_a_focus_that_cannot_be_told_is_asked(env: BrowserEnvironment, tmp_path: Path) -> None:
    """A closed shadow root shows nothing of what it holds."""
    root = "h.attachShadow({mode: 'closed'})"
    body = f"<x-y id=h></x-y><script>const r = {root}; r.innerHTML = '<button>B</button>'</script>"
    seen = await shown(env, tmp_path, body, "to(r.querySelector('button'))")
    assert assess(parse('keyboard_press("Enter")'), seen, "").decision == "ask"


CALM: Mapping[str, tuple[str, str]] = {
    "no focus": (DELETE.format(FAR), ""),
    "another button": (f"<button id=c {FAR}>Show more</button>{DELETE.format('')}", "to(c)"),
    "a frame's focus of before": (
        FRAME.format("") + "<button id=c>Show more</button>",
        "to(f.contentDocument.querySelector('button')); to(c)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CALM)
async def test_what_has_no_focus_is_not_pressed(env: BrowserEnvironment, tmp_path: Path, case: str) -> None:
    """Nor is what a frame remembers as its own focus while the keys go elsewhere."""
    seen = await shown(env, tmp_path, *CALM[case])
    assert assess(parse('keyboard_press("Enter")'), seen, "").decision == "approve", seen.reached()


async def test_keys_pressed_on_what_cannot_have_the_focus_do_not_go_elsewhere(
    env: BrowserEnvironment, tmp_path: Path
) -> None:
    """`press` names its target: where that takes no keys, a button that has the focus does not get them."""
    body = "<div onclick=0>Row</div><button id=b onclick=\"document.title = 'gone'\">Delete</button>"
    await shown(env, tmp_path, body, "to(b)")
    seen = await env.step(parse('press(clickable("Row"), "Enter")'))
    assert "takes no keys" in (seen.error or "") and seen.title == "T"
    await env.page.evaluate("b.blur()")
    assert (await env.step(parse('press(clickable("Row"), "ArrowDown")'))).error is None
    assert (await env.step(parse('press(button("Delete"), "Enter")'))).title == "gone"


KEYED = """<input id=i aria-label=Name><button accesskey=d>Delete this</button>
<label accesskey=b>Both <input type=checkbox></label>
<button style='display:none' accesskey="p q">Pay now</button><button disabled accesskey=x>Erase</button>
<div id=h></div>
<script>h.attachShadow({mode: 'open'}).innerHTML = '<button accesskey=w>Wipe</button>'</script>
<button aria-keyshortcuts="Control+Enter Alt+Shift+s">Send</button>
<script>onkeydown = (e) => { if (e.ctrlKey && e.key === 'Enter') document.title = 'sent'; }</script>
<iframe srcdoc="<button accesskey=e>Erase all</button>"></iframe>"""


async def test_keys_of_ones_own_are_read_from_the_page(env: BrowserEnvironment, tmp_path: Path) -> None:
    """Access keys and declared shortcuts, of what is seen and what is not, in roots and frames; such keys
    are judged as a click, for they do what a click does."""
    seen = await shown(env, tmp_path, KEYED, "to(i)")
    said = {e.name: e.keys for e in (*seen.elements, *seen.unlisted) if e.keys}
    assert said == {
        "Delete this": ("Alt+d",), "Both": ("Alt+b",), "Pay now": ("Alt+p", "Alt+q"), "Wipe": ("Alt+w",),
        "Send": ("Control+Enter", "Alt+Shift+s"), "Erase all": ("Alt+e",),
    }  # fmt: skip
    for keys, decision in [
        *((k, "ask") for k in ("Alt+d", "Alt+p", "Alt+w", "Alt+e", "Control+Enter", "Alt+s")),
        *((k, "approve") for k in ("Alt+b", "Alt+x", "Control+a", "d")),
    ]:
        assert assess(parse(f'keyboard_press("{keys}")'), seen, "").decision == decision, keys
    assert (await env.step(parse('keyboard_press("Control+Enter")'))).title == "sent"


DRAWN = """<div role=combobox aria-label=Action tabindex=0 onclick="l.hidden = false">Choose</div>
<ul id=l role=listbox hidden><li role=option onclick="document.title = 'picked'">Archive</li>
<li role=option>Permanently delete</li></ul>
<div role=menu><div role=menuitem>Pay now</div><div role=menuitemradio>Wipe disk</div></div>
<select aria-label=Bulk><option>None<option>Delete account</select>"""


async def test_what_lists_drawn_by_scripts_offer_is_judged_as_buttons_are(
    env: BrowserEnvironment, tmp_path: Path
) -> None:
    """Clicked, chosen while the list is shut, or chosen when it is open; a select of the browser's is set."""
    seen = await shown(env, tmp_path, DRAWN)
    for call, decision in [
        ('select_option(combobox("Action"), "Permanently delete")', "ask"),
        ('select_option(combobox("Action"), "Archive")', "approve"),
        ('select_option(combobox("Bulk"), "Delete account")', "approve"),
        ('click(menuitem("Pay now"))', "ask"),
        ('click(menuitemradio("Wipe disk"))', "ask"),
    ]:
        assert assess(parse(call), seen, "").decision == decision, seen.text()
    seen = await env.step(parse('click(combobox("Action"))'))
    for call in ('click(option("Permanently delete"))', "mouse_click({}, {})"):
        option = seen.find(Named("option", "Permanently delete"))
        assert option is not None
        at = seen.thousandths(*option.box.centre)
        assert assess(parse(call.format(*at)), seen, "").decision == "ask"
    assert (await env.step(parse('select_option(combobox("Action"), "Archive")'))).title == "picked"


MANY = "<div style='columns:5;font-size:9px'>" + "<a href=#>x</a><br>" * 150 + "</div>"
DRAWN_ONLY = {
    "hidden from readers": DELETE.format("aria-hidden=true"),
    "beyond the limit": MANY + DELETE.format(""),
    "in a frame, beyond the limit": MANY + FRAME.format("style='margin:20px'"),
}


@pytest.mark.parametrize("case", DRAWN_ONLY)
async def test_the_mouse_presses_what_is_drawn_listed_or_not(
    env: BrowserEnvironment, tmp_path: Path, case: str
) -> None:
    """The screenshot shows it, so a point may lie on it; beside it there is nothing to ask about."""
    seen = await shown(env, tmp_path, DRAWN_ONLY[case])
    frame = env.page.frames[-1]
    box = await frame.locator("#b").bounding_box()
    assert box is not None and seen.find(Named("button", "Delete account")) is None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for (x, y), decision in [(middle, "ask"), ((middle[0], middle[1] + box["height"]), "approve")]:
        at = seen.thousandths(x, y)
        for call in ("mouse_click({}, {})", "mouse_drag_and_drop({0}, {1}, {0}, {1})"):
            assert assess(parse(call.format(*at)), seen, "").decision == decision


async def test_a_secret_is_not_typed_where_a_frame_has_the_keys(
    env: BrowserEnvironment, tmp_path: Path
) -> None:
    """Though none of its fields has the focus: a script there would hear every key."""
    body = "<input id=i aria-label=Password><iframe id=f src='data:text/html,<p>Other'></iframe>"
    home, call = Rules(home="file://"), parse('keyboard_type("{{password}}")')
    for focus, decision in [("to(i)", "approve"), ("f.contentWindow.focus()", "refuse")]:
        seen = await shown(env, tmp_path, body, focus)
        assert assess(call, seen, "the password is {{password}}", home).decision == decision, seen.reached()
