"""A page and a desktop in one episode: what is copied on one side is pasted on the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tools.actions import parse
from tools.both import Both, Boths
from tools.environment import Environment, Start
from tools.observation import Observation
from tools.secrets import Discreet
from tools.x11.applications import APPLICATIONS, DESKTOP
from tools.x11.session import missing

NEEDED = [*missing(), *([] if APPLICATIONS["mousepad"].there else ["mousepad"])]
pytestmark = [
    pytest.mark.skipif(bool(NEEDED), reason=f"as root: apt-get install {' '.join(NEEDED)}"),
    pytest.mark.timeout(240),
]
PAGE = """<!doctype html><meta charset="utf-8"><title>Order</title>
<label>Code <input value="{code}"></label> <label>Remark <input></label>"""
APP = "app:mousepad"


@pytest.fixture
async def both(chromium_path: str) -> AsyncIterator[Both]:
    async with Boths() as boths:
        yield boths.environment()


def start(folder: Path, code: str) -> Start:
    page = folder / "order.html"
    page.write_text(PAGE.format(code=code), encoding="utf-8")
    return Start(page.as_uri(), ("file://", DESKTOP, APP))


async def do(env: Environment, *steps: str) -> Observation:
    for step in steps:
        look = await env.step(parse(step))
        assert look.error is None, (step, look.error, look.text())
    return look


def value(look: Observation, name: str) -> str | None:
    return next(e.value for e in look.actionable() if e.role == "textbox" and e.name == name)


COPY_CODE = ('press(textbox("Code"), "Control+a")', 'press(textbox("Code"), "Control+c")')


async def test_copied_on_one_side_pasted_on_the_other(both: Both, tmp_path: Path) -> None:
    """From the page into an editor and back, whichever copied last; nothing of it is there in the next
    episode."""
    await both.reset(start(tmp_path, "Zoë 山 17"))
    await do(both, *COPY_CODE)
    look = await do(both, f'goto("{APP}")', 'keyboard_press("Control+v")')
    assert value(look, "") == "Zoë 山 17"
    await do(both, 'fill(textbox(""), "from Łódź")', 'keyboard_press("Control+a")')
    await do(both, 'keyboard_press("Control+c")')
    look = await do(both, "tab_focus(0)", 'press(textbox("Remark"), "Control+v")')
    assert value(look, "Remark") == "from Łódź"
    await do(both, *COPY_CODE)  # the page again has copied last, what it had copied before
    look = await do(both, "tab_focus(1)", 'keyboard_press("End")', 'keyboard_press("Control+v")')
    assert value(look, "") == "from ŁódźZoë 山 17"

    await both.reset(start(tmp_path, "other"))
    look = await do(both, 'press(textbox("Remark"), "Control+v")')
    assert value(look, "Remark") is None
    look = await do(both, f'goto("{APP}")', 'keyboard_press("Control+v")')
    assert value(look, "") is None


async def test_a_secret_is_not_handed_over(both: Both, tmp_path: Path) -> None:
    """Copied on the page it is not pasted by key, nor by the application's own menu; nor the other way."""
    env = Discreet(both)
    env.give({"PIN": "quartz-4711"})
    await env.reset(start(tmp_path, "my quartz-4711"))
    await do(env, *COPY_CODE, f'goto("{APP}")')
    look = await env.step(parse('keyboard_press("Control+v")'))
    assert look.error is not None and "a secret was copied" in look.error
    look = await do(env, 'click(menuitem("Edit"))', 'click(menuitem("Paste"))')
    assert value(look, "") is None
    await do(env, 'fill(textbox(""), "{{PIN}}")', 'keyboard_press("Control+a")')
    await do(env, 'keyboard_press("Control+c")', "tab_focus(0)")
    look = await env.step(parse('press(textbox("Remark"), "Control+v")'))
    assert look.error is not None and "a secret was copied" in look.error
    assert value(look, "Remark") is None
