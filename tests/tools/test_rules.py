"""The person's policy file: what it changes, what it can't, and what is wrong with it in words."""

from dataclasses import replace
from pathlib import Path

import pytest

from tools import rules
from tools.actions import parse
from tools.guard import assess
from tools.observation import Box, Element, Observation
from tools.settings import SettingsError

THINGS = {"Pay": "button", "Delete": "button", "Save": "button", "Password": "textbox", "File": "file"}
PAGE = Observation(
    "http://shop/cart",
    "Cart",
    (1000, 1000),
    tuple(
        Element(i, role, name, Box(i * 100, 0, 80, 20)) for i, (name, role) in enumerate(THINGS.items(), 1)
    ),
)
WRITTEN = """
["*"]
money = "refuse"
["http://shop"]
irreversible = "approve"
write = "ask"
["http://docs.example"]
read = "approve"
[secrets]
password = ["http://shop"]
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "policy.toml"


@pytest.mark.parametrize(
    ("text", "built_in", "written"),
    [
        ("click(1)", "ask", "refuse"),  # stricter, for any origin
        ("click(2)", "ask", "approve"),  # looser, for this one
        ("click(3)", "approve", "ask"),
        ("scroll(0, 100)", "approve", "approve"),
        ('goto("http://docs.example/a")', "refuse", "approve"),
        ('goto("http://docs.example.evil/")', "refuse", "refuse"),
        ('goto("https://docs.example/")', "refuse", "refuse"),
        ('fill(4, "{{password}}")', "refuse", "approve"),  # the task started at http://other
        ('goto("javascript:alert(1)")', "refuse", "refuse"),
        ('upload_file(5, "../x")', "refuse", "refuse"),
        ('send_msg_to_user("done")', "approve", "approve"),
    ],
)
def test_what_is_written_goes_first(here: Path, text: str, built_in: str, written: str) -> None:
    """A rule for origin and kind replaces ours; what is refused for good stays refused."""
    goal = "sign in with {{password}}"
    assert assess(parse(text), PAGE, goal, rules.Rules(home="http://other")).decision == built_in
    here.write_text(WRITTEN)
    found = rules.load()
    assert found.path == here and found.opened == ("http://docs.example",)
    assert assess(parse(text), PAGE, goal, replace(found, home="http://other")).decision == written


def test_leaving_a_site_is_ruled_by_where_it_leads(here: Path) -> None:
    """That a site may be read allows nothing elsewhere, though the goal names it and it is asked."""
    here.write_text('["http://shop"]\nread = "approve"\n["http://bad.example"]\nread = "refuse"\n')
    goal, found = "compare with http://other.example and http://bad.example", rules.load()
    for address, decision in (("other.example", "ask"), ("bad.example", "refuse")):
        assert assess(parse(f'goto("http://{address}/")'), PAGE, goal, found).decision == decision


def test_the_file_is_found_as_settings_are(here: Path, _own_home: Path) -> None:
    """Working directory, then state folder; without one, nothing is changed."""
    assert rules.load() == rules.Rules()
    (_own_home / "policy.toml").write_text('["*"]\nmoney = "approve"\n')
    assert rules.load().path == _own_home / "policy.toml"
    here.write_text("")
    assert rules.load().path == here


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('["http://shop"]\nmoney = "maybe"', "rulings approve, ask, refuse"),
        ('["http://shop"]\ntheft = "refuse"', "kinds are read, write"),
        ('["http://shop"]\nread = "ask"', "write approve or refuse"),
        ('["http://shop/cart"]\nmoney = "ask"', "write it as https://shop.example"),
        ('["shop"]\nmoney = "ask"', "is no origin"),
        ('money = "ask"', "is no origin"),
        ('[secrets]\npassword = "http://shop"', "write secrets as"),
        ('[secrets]\npassword = ["shop"]', "is no origin"),
        ("[", "not valid TOML"),
    ],
)
def test_a_file_that_is_wrong_says_how_to_mend_it(here: Path, text: str, said: str) -> None:
    """One error, with the file and what would do."""
    here.write_text(text)
    with pytest.raises(SettingsError, match=said):
        rules.load()
