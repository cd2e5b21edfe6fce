"""Rails of NeMo Guardrails beside the policy in plain code: the folder of docs/rails.md, and broken ones."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import rails, rules
from tools.actions import parse
from tools.observation import Box, Element, Observation
from tools.rails import judge, judge_goal
from tools.rules import Rules
from tools.settings import SettingsError

SHOWN = Path(__file__).parents[2] / "docs" / "rails.md"
BOX = Box(0, 0, 10, 10)


def page(path: str = "/notes", name: str = "Ada") -> Observation:
    listed = Element(1, "textbox", "Name", BOX, value=name), Element(2, "button", "Save", BOX)
    return Observation(f"http://desk{path}", "Desk", (100, 100), (*listed, Element(3, "button", "Pay", BOX)))


def write(folder: Path, **changed: str) -> Rules:
    """The folder of the documentation, with other contents for some files, as a policy file's."""
    folder.mkdir()
    for name, content in re.findall(r"^`rails/(.*?)`\n+```\w+\n(.*?)^```", SHOWN.read_text(), re.M | re.S):
        (folder / name).write_text(changed.get(name.partition(".")[0], content))
    return Rules(rails=folder)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Rules:
    """Loaded once: every test here asks the same rails."""
    return write(tmp_path_factory.mktemp("shown") / "rails")


@pytest.mark.parametrize(
    ("text", "look", "decision", "why"),
    [
        ('fill(1, "Bob")', page(), "approve", "it can be undone"),
        (
            "click(2)",
            page("/settings"),
            "refuse",
            'the rail "check action" says: the settings are not touched',
        ),
        ("scroll(0, 10)", page("/settings"), "approve", "it changes nothing"),
        ('fill(1, "Mallory")', page(), "refuse", "nothing is done about Mallory"),  # what
        ("click(2)", page(name="Mallory"), "refuse", "nothing is done about Mallory"),  # values
        ('send_msg_to_user("it is Mallory")', page(name=""), "refuse", "nothing is done about Mallory"),
        ("click(3)", page(), "ask", "may cost money"),  # a rail that passes does not loosen ours
        ('goto("javascript:alert(1)")', page(), "refuse", "addresses are not opened"),
    ],
)
async def test_a_rail_can_only_forbid(
    shown: Rules, text: str, look: Observation, decision: str, why: str
) -> None:
    """It is shown what, where and with which values; its no is a refusal in its words, its yes is nothing."""
    verdict = await judge(parse(text), look, "Save a note", shown)
    assert verdict.decision == decision and why in verdict.why


async def test_the_goal_is_asked_about(shown: Rules) -> None:
    """The input rails say no to a goal, with the reason; without a folder nobody is asked."""
    assert await judge_goal("Save a note", shown) is None
    assert "nothing is done about Mallory" in (await judge_goal("Write to Mallory", shown) or "")
    assert await judge_goal("Write to Mallory", Rules()) is None


async def test_a_rail_that_fails_or_rewrites_forbids(tmp_path: Path) -> None:
    """An exception in a rail's own code is no yes, nor is an action that the folder does not have, nor an
    answer that would be something else than what was shown."""
    action = parse("click(2)")
    failing = "from nemoguardrails.actions import action\n\n@action()\nasync def check_action():\n    1 / 0\n"
    verdict = await judge(action, page(), "Save", write(tmp_path / "failing", actions=failing))
    assert verdict.decision == "refuse" and "failing failed: division by zero" in verdict.why
    verdict = await judge(action, page(), "Save", write(tmp_path / "missing", actions=""))
    assert verdict.decision == "refuse" and "'check_action' not found" in verdict.why
    other = 'define flow check goal\n  $a = 1\n\ndefine flow check action\n  $bot_message = "click nothing"\n'
    verdict = await judge(action, page(), "Save", write(tmp_path / "other", rails=other))
    assert verdict.decision == "refuse" and "click nothing" in verdict.why


@pytest.mark.parametrize(
    "changed",
    [
        {"config": "models: [}"},
        {"config": "models: []"},
        {"config": "rails: {output: {flows: [no such flow]}}"},
        {"config": "colang_version: 2.x", "rails": "flow main\n  await user said something\n"},
        {"rails": "define flow check action\n  $why = = execute\n"},
        {"actions": "import no_such_module\n"},
    ],
)
def test_a_broken_folder_is_told_before_anything_starts(tmp_path: Path, changed: dict[str, str]) -> None:
    """One error, with the folder in it."""
    with pytest.raises(SettingsError, match="rails in .*/broken can't be loaded"):
        rails.ready(write(tmp_path / "broken", **changed))


def test_the_policy_file_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From where the file lies; a folder that is none is an error with the mend."""
    monkeypatch.chdir(tmp_path)
    written = tmp_path / "policy.toml"
    written.write_text('[rails]\nfolder = "rails"\n')
    with pytest.raises(SettingsError, match="has no config.yml"):
        rules.load()
    write(tmp_path / "rails")
    assert rules.load().rails == tmp_path / "rails"
    written.write_text('[rails]\nfolders = "rails"\n')
    with pytest.raises(SettingsError, match='write .rails. with one line below it, folder = "rails"'):
        rules.load()


def test_nothing_is_imported_where_no_folder_is_named() -> None:
    """Who has no rails does not wait for them: the team and a verdict without the library."""
    program = """
import asyncio, sys
import agents.team
from tools import rails, rules
from tools.actions import parse
from tools.observation import Observation
rails.ready(rules.load())
look = Observation("http://desk/", "Desk", (100, 100))
print(asyncio.run(rails.judge(parse("noop()"), look, "")).decision, "nemoguardrails" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["approve", "False"]
