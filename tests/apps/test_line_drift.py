"""Drift, and the line that acts on it: real looks at recorded episodes, stages that do nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apps.drift import DRIFTED
from apps.line import command, runner, stages
from apps.line.plan import STAGES, Turn
from apps.main import main
from tests.training.test_sft import episode
from tools.settings import home
from trajectories.store import Store

WINDOW = 34  # episodes of three steps each: just above a hundred


def record(store: Store, first: int, *, success: bool) -> None:
    """A window's worth of episodes, after those there are."""
    for number in range(first, first + WINDOW):
        when = f"2026-01-01T00:{number // 60:02d}:{number % 60:02d}+00:00"
        one = replace(episode(number, success), goal="Add a name.", started=when)
        store.add(replace(one, id=f"chat-{number:03d}"))


@pytest.fixture
def live(tmp_path: Path) -> Store:
    """What the chat recorded: a window that is just like the reference, which is kept."""
    usual = Store(tmp_path / "usual" / "episodes")
    record(usual, 0, success=True)
    recorded = Store(home() / "episodes")
    record(recorded, 100, success=True)
    assert main(["drift", "--reference", str(tmp_path / "usual")]) == 0
    return recorded


def begun(number: int, *drift: str, over: bool = True) -> None:
    """A turn of the line, as it is written down."""
    folder = home() / "line" / "turns" / f"{number:06d}"
    folder.mkdir(parents=True)
    turn = {"number": number, "size": "tiny", "minutes": 1.0, "champion": "", "base": "", "workers": 1}
    (folder / "turn.json").write_text(json.dumps(turn | {"drift": drift}))
    if over:
        (folder / "finished.json").write_text("{}")


def test_what_drifts_makes_one_turn_due(live: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """With --new the exit code is 3 until a turn has begun that knew of it, and never while a turn is open;
    without, it is 3 as long as it drifts."""

    def looked(*words: str) -> tuple[int, list[str]]:
        capsys.readouterr()
        code = main(["drift", *words, "--json"])
        return code, json.loads(capsys.readouterr().out)["new"]

    assert looked("--new") == (0, [])
    record(live, 200, success=False)
    assert looked("--new") == (DRIFTED, ["success"])
    begun(1)  # began before
    assert looked("--new") == (DRIFTED, ["success"])
    begun(2, over=False)
    assert looked("--new") == (0, []) and looked()[0] == DRIFTED
    begun(3, "success")
    assert looked("--new") == (0, []) and looked()[0] == DRIFTED


def test_a_damaged_episode_does_not_end_the_watch(live: Store) -> None:
    """What drifted is seen although one of the newest episodes is not what was written."""
    record(live, 200, success=False)
    ((live.path / "chat-210") / "episode.json").open("a").write(" ")
    assert main(["drift"]) == DRIFTED


class Ended(BaseException):
    """What ends the line in a test."""


@pytest.mark.timeout(300)
def test_the_line_begins_a_turn_when_something_drifts(
    live: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A turn an hour: what is recorded amid the first one, and fails, makes the second begin at once, which
    knows why; after that one it is no news, and the hour is waited for."""
    waited: list[float] = []

    def make(name: str) -> Callable[..., dict[str, Any]]:
        def do(turn: Turn, given: stages.Given, folder: Path) -> dict[str, Any]:
            if turn.number == 1 and name == "deploy":
                record(live, 200, success=False)
            shares = {"challenger": 0.5, "champion": 0.25, "against": "random actions"}
            return {"promoted": False, "reason": "worse", "version": "1", "label": "a@b", **shares}

        return do

    def awaited(due: float) -> list[str]:
        waited.append(due - time.monotonic())
        if len(waited) == 2:
            assert not _awaited(time.monotonic() + 1)  # another look, which finds what was known
            raise Ended
        return _awaited(due)

    _awaited = command._awaited
    monkeypatch.setattr(stages, "DO", {name: make(name) for name in STAGES})
    monkeypatch.setattr(stages, "depends", lambda stage, turn, given: {"turn": turn.number})
    monkeypatch.setattr(runner, "start", runner.carry_out)
    monkeypatch.setattr(command, "LOOK", 0.5)
    monkeypatch.setattr(command, "_awaited", awaited)
    with pytest.raises(Ended):
        main(["line", "--every", "1h", "--size", "tiny", "--from-scratch"])
    assert waited[0] > 3000  # of the hour, which was not waited for
    first, second = (
        json.loads((home() / f"line/turns/{number:06d}/turn.json").read_text())["drift"] for number in (1, 2)
    )
    assert (first, second) == ([], ["success"])
    assert "success: the next turn begins now" in capsys.readouterr().err
