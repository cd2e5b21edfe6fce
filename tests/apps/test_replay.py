"""`shopfloor replay` as a person runs it: the command, a real browser, the help desk's own database."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from agents.lifting import parse_lifted
from apps.main import main
from apps.replay import _goal
from tools.browser import Browser
from tools.x11.applications import APPLICATIONS
from tools.x11.session import missing
from trajectories.helpdesk.suite import HelpDesk
from trajectories.helpdesk.tasks import HelpDeskTask
from trajectories.rollout import oracle_policy, roll_out
from trajectories.store import Store

LACKING = [*missing(), *([] if APPLICATIONS["mousepad"].there else ["mousepad"])]
WORLD, MOVED = 5, 6  # two help desks that look and speak differently


async def replay(*words: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, what it said to the machine, and to the person."""
    # An endpoint where nobody listens: whoever asked a model would fail.
    env = {**os.environ, "SHOPFLOOR_MODEL_URL": "http://127.0.0.1:9/v1", "SHOPFLOOR_MODEL_NAME": "none"}
    command = [sys.executable, "-m", "apps.main", "replay", "--json", *words]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=env)
    out, err = await process.communicate()
    return process.returncode or 0, json.loads(out) if out.strip() else {}, err.decode()


async def test_an_episode_again_with_another_value_and_on_another_site(tmp_path: Path) -> None:
    """What was done once is done with another value and no model; saved, it is done from the file; on a site
    where all labels are others it ends honestly, since the actor that would heal it can't be asked."""
    async with Browser() as browser, HelpDesk() as suite:
        server = suite.server
        task = HelpDeskTask(server, "change-signature-from-home", 0, WORLD)
        episode = await roll_out(task, oracle_policy(task), browser.environment())
        assert episode.outcome.success
        folder, program = Store(tmp_path / "episodes").add(episode), tmp_path / "sign-off.txt"

        def signature() -> str:
            return str(server.database.snapshot()["settings"][1]["signature"])

        server.reset(WORLD)
        code, said, err = await replay(str(folder), "--save", str(program), "--url", server.home_url)
        assert (code, said["outcome"]) == (0, "done"), err
        (name,) = parse_lifted(program.read_text()).values
        server.reset(WORLD)
        nowhere = str(tmp_path / "gone" / "x.txt")  # done all the same
        code, said, err = await replay(
            str(program), f"{name}=See you, Ann", "--url", server.home_url, "--save", nowhere
        )
        assert "saved  nothing: " in err and nowhere in err
        assert (code, said["outcome"], signature()) == (0, "done", "See you, Ann"), err
        assert said["prompt_tokens"] == 0 and {s["by"] for s in said["steps"]} == {"program"}
        server.reset(MOVED)
        code, said, err = await replay(str(program), "--url", server.home_url)
        assert code == 1 and said["outcome"] == "not done" and "can't be reached" in said["reason"], err


NOTE = """# goal: Write "{text}" and save it as "{name}".
# text: "Dear Ada"
# name: "letter.txt"
goto("app:mousepad")
fill(textbox(""), "{text}")
keyboard_press("Control+s")
fill(textbox("Name"), "{name}")
click(button("Save"))
noop(1000)
"""


@pytest.mark.skipif(bool(LACKING), reason=f"as root: apt-get install {' '.join(LACKING)}")
@pytest.mark.timeout(600)
async def test_a_desktops_program_and_its_episode(tmp_path: Path) -> None:
    """A program that opens an application runs on a desktop; what came of it, an episode, does too."""
    program, files = tmp_path / "note.txt", tmp_path / "files"
    program.write_text(NOTE)
    files.mkdir()
    code, said, err = await replay(str(program), "--yes", "--files", str(files))
    assert (code, said.get("outcome")) == (0, "done"), err
    assert (files / "letter.txt").read_text().strip() == "Dear Ada"
    other = tmp_path / "other"
    other.mkdir()
    code, said, err = await replay(said["episode"], "value=Dear Bob", "--yes", "--files", str(other))
    assert (code, said.get("outcome")) == (0, "done"), err
    assert (other / "letter.txt").read_text().strip() == "Dear Bob"


def test_what_a_program_is_for_names_its_secrets() -> None:
    """The person's word is the goal, by which a secret may be typed where the task began and nowhere else."""
    lifted = parse_lifted('# goal: Sign in.\nfill(textbox("Password"), "{{password}}")')
    assert _goal(lifted, {}) == "Sign in. {{password}}"
    lifted = parse_lifted('# goal: Use {{password}}.\nfill(textbox("Password"), "{{password}}")')
    assert _goal(lifted, {}) == "Use {{password}}."


def test_wrong_use_is_told(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is no program, a value it has no place for, an episode that is none: 2 and a reason."""
    file = tmp_path / "p.txt"
    for text, more, says in (
        ("hello there", [], "p.txt"),
        ('click(button("Save"))', ["colour=red"], "has no colour"),
        ('click(button("Save"))', ["colour"], "no NAME=VALUE"),
        ('click(button("Save"))', ["--url", "example"], "no address"),
        ('click(button("Save"))', ["--url", "http://["], "no address"),
        ('click(button("Save"))', ["--app", "solitaire"], "no application 'solitaire'"),
        ('click(button("Save"))', ["--app", "mousepad", "--url", "http://a"], "give the one"),
        ('fill(textbox("PIN"), "{{pin}}")', [], "set SHOPFLOOR_SECRET_PIN"),  # which only a step names
    ):
        file.write_text(text)
        assert main(["replay", str(file), *more]) == 2
        assert says in capsys.readouterr().err
    assert main(["replay", str(tmp_path)]) == 2 and main(["replay", str(tmp_path / "gone")]) == 2
    assert "is no episode's folder" in capsys.readouterr().err and [*tmp_path.iterdir()] == [file]
    monkeypatch.setenv("SHOPFLOOR_ACTOR_URL", "http://a/v1")
    assert main(["replay", str(file)]) == 2 and "SHOPFLOOR_ACTOR_MODEL is not" in capsys.readouterr().err
