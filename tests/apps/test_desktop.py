"""`shopfloor desktop` as people run it: a process, a real virtual desktop, scripted models on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from Xlib.display import Display

from agents.scripted import Answer, ScriptedServer, pick
from apps.desktop import _saved
from apps.main import main
from tools.x11.applications import APPLICATIONS
from tools.x11.session import Session, missing
from tools.x11.windows import Windows
from trajectories.store import Store

DONE = 'send_msg_to_user("done")'
NEEDED = [APPLICATIONS[name] for name in ("mousepad", "xterm")]
LACKING = [*missing(), *(application.package for application in NEEDED if not application.there)]
real = pytest.mark.skipif(bool(LACKING), reason=f"as root: apt-get install {' '.join(LACKING)}")
Script = dict[str, Sequence[Answer]]


def desktop(script: Script, *arguments: str, **more: str) -> tuple[int, str, str]:
    with ScriptedServer(script) as server:
        where = {"SHOPFLOOR_MODEL_URL": server.url, "SHOPFLOOR_MODEL_NAME": "scripted"}
        ran = subprocess.run(
            [sys.executable, "-m", "apps.main", "desktop", "--no-memory", *arguments],
            env={**os.environ, **where, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
        )
    return ran.returncode, ran.stdout, ran.stderr


@real
@pytest.mark.timeout(240)
def test_a_task_is_done_and_its_file_stays(tmp_path: Path, _own_home: Path) -> None:
    """Opened by name, written, saved: one JSON object, the episode in the store, the file in the folder."""
    steps: Script = {
        "act:": [
            'goto("app:mousepad")',
            'fill(textbox(""), "84")',
            'keyboard_press("Control+s")',
            pick("Name", 'fill({}, "result.txt")'),
            pick("Save"),
            DONE,
        ]
    }
    code, out, err = desktop(steps, "Save 84 as result.txt", "--json", "--files", str(tmp_path))
    assert code == 0, err
    said = json.loads(out)
    assert said["outcome"] == "done" and [step["valid"] for step in said["steps"]] == [True] * 6
    assert (tmp_path / "result.txt").read_text().strip() == "84"
    episode = Store(_own_home / "episodes").load(Path(said["episode"]).name)
    assert episode.task == "chat/desktop/0" and episode.final.url == "app:mousepad"
    assert all(look.screenshot for look in episode.looks)


@real
@pytest.mark.timeout(240)
def test_a_command_is_not_run_unasked(tmp_path: Path) -> None:
    """In a terminal nobody is there to approve: nothing is run, and the hint says how."""
    steps: Script = {"act:": ['keyboard_type("touch made")', 'keyboard_press("Enter")', DONE]}
    code, out, err = desktop(steps, "Make a file", "--app", "xterm", "--files", str(tmp_path))
    assert code == 1 and "it runs a command in a terminal" in out + err and "--yes" in out + err
    assert not (tmp_path / "made").exists()
    code, out, err = desktop(steps, "Make a file", "--app", "xterm", "--yes", "--files", str(tmp_path))
    assert code == 0, out + err
    assert (tmp_path / "made").exists()


@real
@pytest.mark.timeout(480)
async def test_ones_own_screen_is_asked_about(tmp_path: Path) -> None:
    """On a display that plays the person's: with nobody to ask nothing is written; with --yes it is, and what
    was opened stays open."""
    persons = await Session.start((1024, 768))
    where = {"DISPLAY": persons.display, "DBUS_SESSION_BUS_ADDRESS": persons.bus, "GDK_BACKEND": "x11"}
    steps: Script = {"act:": ['goto("app:mousepad")', 'fill(textbox(""), "84")', DONE]}
    ask = ("Write 84", "--display", persons.display, "--files", str(tmp_path))
    display = Display(persons.display)
    windows = Windows(display)
    try:
        code, out, err = await asyncio.to_thread(desktop, steps, *ask, **where)
        assert code == 1 and "on your own screen that is asked" in out + err, out + err
        code, out, err = await asyncio.to_thread(desktop, steps, *ask, "--yes", "--json", **where)
        assert code == 0, err
        assert json.loads(out)["outcome"] == "done"
        titles = [windows.title(id) for id in windows.ids()]
        assert any(title.startswith("*Untitled") for title in titles), titles
        for window in windows.stacked():
            assert window.pid > 1  # 0 would be this test's own group
            os.kill(window.pid, signal.SIGKILL)
    finally:
        display.close()
        await persons.stop()


def test_a_folder_with_anything_in_it_is_looked_at(tmp_path: Path) -> None:
    """After each step: a link in a circle, or the folder gone meanwhile, does not end the session."""
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "note.txt").touch()
    assert _saved(tmp_path) >= (tmp_path / "note.txt").stat().st_mtime_ns
    assert _saved(tmp_path / "gone") == 0


def test_a_display_that_is_none_is_one_line() -> None:
    """Exit code 1, and what to set."""
    code, _, err = desktop({}, "Anything", "--display", ":7534")
    assert code == 1 and "display :7534 can't be opened" in err and err.count("\n") == 1


def test_what_is_missing_is_one_line(tmp_path: Path) -> None:
    """Without a display server the command says what to install, exit code 1; a wrong option is 2."""
    code, out, err = desktop({}, "Anything", PATH=str(tmp_path))
    assert code == 1 and "apt-get install" in err and "xvfb" in err and "Traceback" not in err
    code, _, err = desktop({}, "Anything", "--app", "solitaire")
    assert code == 2 and "no application" in err
    code, _, err = desktop({}, "Anything", "--files", str(tmp_path / "none"))
    assert code == 2 and "make it first" in err


def test_eval_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Several workers that all lack the same packages are one line, not a traceback."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["eval", "desktop", "--policy", "oracle", "--episodes", "2"]) == 1
    said = capsys.readouterr().err
    assert "the desktop's tasks need, as root: apt-get install" in said and "xvfb" in said
