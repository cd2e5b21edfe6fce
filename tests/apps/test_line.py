"""The line: what it learns from, and turns of cheap stages that are killed and go on (real ones:
`test_line_whole.py`)."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from apps.line import runner, stages
from apps.line.clean import clean
from apps.line.command import period
from apps.line.plan import DIALS, STAGES, Turn
from apps.main import main
from tests.training.test_sft import episode
from tools.settings import home
from training import registry
from trajectories.episode import Episode
from trajectories.feedback import judged
from trajectories.store import Store
from trajectories.tasks import HELD_OUT_FROM

ROOT = Path(__file__).parents[2]
AIRFLOW = os.environ.get("SHOPFLOOR_AIRFLOW_PYTHON")  # read now: no test sees the user's settings


def recorded(number: int, **changes: Any) -> Episode:
    one = episode(number)
    return replace(one, id=f"chat-{number}", goal=f"goal {number}", **changes)


def test_only_what_is_fit_is_learnt_from(tmp_path: Path) -> None:
    """Kept are what a checker or a person judged; left out, and counted, what is damaged, broke off, is held
    out, told twice, or judged by nobody but the reviewer. Killed half-way, it comes to the same."""
    store = Store(tmp_path / "recorded")
    fit = [recorded(1), judged(recorded(2, policy="team"), True), judged(recorded(3, policy="team"), False)]
    unjudged, replayed = recorded(4, policy="team"), recorded(8, policy="replay", task="replay/x/0")
    broke = recorded(5, ended="error")
    held = recorded(6, task=f"miniwob/click-test/{HELD_OUT_FROM}")
    twice = replace(fit[0], id="chat-1-again")
    for one in (*fit, unjudged, replayed, broke, held, twice, recorded(7)):
        store.add(one)
    (store.path / "chat-7" / "episode.json").write_text("{}")
    Store(tmp_path / "kept").add(fit[0])  # as a killed run left it
    result = clean(store.path, tmp_path / "kept")
    assert Store(tmp_path / "kept").ids() == ["chat-1", "chat-2", "chat-3"] and result["kept"] == 3
    assert result["left_out"] == {
        "unjudged": 2, "broke off": 1, "held out": 1, "told twice": 1, "damaged": 1,
    }  # fmt: skip
    assert result == clean(store.path, tmp_path / "kept")
    assert clean(tmp_path / "none", tmp_path / "nothing")["kept"] == 0


class Killed(BaseException):
    pass


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], dict[str, Any]]:
    """Stages that do nothing but note that they were called and what they are given; `state` says what each
    depends on, and where the next one is killed."""
    called: list[str] = []
    state: dict[str, Any] = {"kill": None, "inputs": dict.fromkeys(STAGES, 0)}

    def make(name: str) -> Callable[..., dict[str, Any]]:
        def do(turn: Turn, given: stages.Given, folder: Path) -> dict[str, Any]:
            assert list(given) == list(STAGES[: STAGES.index(name)]) and folder.is_dir()
            called.append(name)
            if state["kill"] == name:
                raise Killed
            shares = {"challenger": 0.5, "champion": 0.25, "against": "random actions"}
            end = {"promoted": True, "reason": "better", "version": "1", "label": "a@b"}
            return {"by": name, "input": state["inputs"][name], **shares, **end}

        return do

    def depends(stage: str, turn: Turn, given: stages.Given) -> dict[str, Any]:
        return {"own": state["inputs"][stage], "before": [given[s]["input"] for s in given]}

    monkeypatch.setattr(stages, "DO", {name: make(name) for name in STAGES})
    monkeypatch.setattr(stages, "depends", depends)
    return called, state


def turned(**options: Any) -> Turn:
    """As far as a turn gets."""
    turn = runner.open_turn("tiny", None, True, 1, **options)
    for stage in STAGES:
        runner.carry_out(stage, turn)
    return turn


def test_a_turn_killed_at_each_stage_goes_on(cheap: tuple[list[str], dict[str, Any]]) -> None:
    """Killed in every stage in turn, each stage is finished once, and it stays one turn; the next turn with
    equal inputs does nothing, and with a changed input only what comes from there on."""
    called, state = cheap
    for stage in STAGES:
        state["kill"] = stage
        with pytest.raises(Killed):
            turned()
    state["kill"] = None
    assert turned().number == 1
    assert called == [name for stage in STAGES for name in (stage, stage)]  # each begun, killed, done
    closed = json.loads((home() / "line/turns/000001/finished.json").read_text())
    assert closed["mlflow_run"]

    called.clear()
    turn = turned()
    assert (turn.number, called) == (2, [])
    assert all(one["cached"] for one in runner.summary(turn)["stages"].values())
    state["inputs"]["sft"] = 1
    assert (turned().number, called) == (3, list(STAGES[3:]))


def test_changed_code_is_other_work(
    cheap: tuple[list[str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A turn with equal inputs and other code does all of it again. Code is what lies in any of the rooms;
    what Python makes of it, and what lies beside them, is not."""
    called, _ = cheap
    turned()
    called.clear()
    with monkeypatch.context() as patch:
        patch.setattr(runner, "code", lambda: "other")
        assert (turned().number, called) == (2, [*STAGES])

    for room in runner.ROOMS:
        assert (ROOT / room / "__init__.py").exists()
        (tmp_path / room / "__pycache__").mkdir(parents=True)
        (tmp_path / room / "page.html").write_text("one")
    seen = {runner.code(tmp_path)}
    (tmp_path / "README.md").write_text("two")
    (tmp_path / "tools" / "__pycache__" / "page.pyc").write_text("two")
    assert {runner.code(tmp_path)} == seen
    for room in runner.ROOMS:
        (tmp_path / room / "page.html").write_text("two")
        seen.add(runner.code(tmp_path))
    assert len(seen) == 1 + len(runner.ROOMS)


def test_killed_before_it_was_closed(
    cheap: tuple[list[str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn whose last stage was noted, but that was killed before MLflow knew, is closed next time."""

    def killed(turn: Turn) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(runner, "finish", killed)
        with pytest.raises(Killed):
            turned()
    called, _ = cheap
    called.clear()
    assert turned().number == 1 and called == []
    assert (home() / "line/turns/000001/finished.json").exists()


def test_out_of_order(cheap: tuple[list[str], dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    """A stage before its time, another size amid a turn, a second line beside one: refused, with the mend."""
    assert main(["line", "--size", "tiny", "--from-scratch", "--only", "sft"]) == 2
    assert "ingest comes before sft: shopfloor line --only ingest" in capsys.readouterr().err
    assert main(["line", "--size", "tiny", "--only", "ingest", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["by"] == "ingest"
    assert main(["line", "--size", "nano", "--only", "ingest"]) == 2
    assert "turn 1 of size tiny is not finished: go on with --size tiny" in capsys.readouterr().err
    with runner.alone():
        assert main(["line", "--size", "tiny"]) == 2
    assert "another line is at work" in capsys.readouterr().err
    assert main(["line", "--every", "1y"]) == 2 and "write 30m, 12h or 1d" in capsys.readouterr().err
    assert (period("30m"), period("1.5h"), period("1d")) == (1800, 5400, 86400)


@pytest.mark.timeout(300)  # MLflow takes seconds to make a database
def test_a_champion_of_meanwhile_stays(tmp_path: Path) -> None:
    """A candidate that was held against random actions does not replace a champion that others crowned while
    the turn was under way."""
    versions = []
    for name in ("theirs", "ours"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "model.safetensors").write_text(name)
        versions.append(registry.register(tmp_path / name, {}))
    theirs, ours = versions
    registry.crown(theirs, "by hand")
    turn = Turn(1, "tiny", 1.0, champion="", base="", workers=1)
    said = stages.promote(turn, {"rft": {"version": ours}}, tmp_path)
    assert not said["promoted"] and "not compared" in said["reason"]
    assert registry.alias(registry.CHAMPION) == theirs


def test_what_counts_as_in_use() -> None:
    """Nano trains on and has to beat the released model; tiny has to beat it and is pretrained; from scratch
    there is nothing to train on, and nothing to beat but chance until there is a champion."""
    released = str(registry.RELEASED)
    assert runner._in_use("nano", False) == (released, released)
    assert runner._in_use("tiny", False) == (released, "")
    assert runner._in_use("nano", True) == runner._in_use("tiny", True) == ("", "")


def test_other_schedulers_know_the_same_stages() -> None:
    """Airflow's DAG, which can't import ours, names the stages in their order; its file compiles."""
    source = (ROOT / "deploy/airflow/shopfloor_line.py").read_text()
    compile(source, "shopfloor_line.py", "exec")
    (named,) = [
        ast.literal_eval(node.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "STAGES"
    ]
    assert named == STAGES


def test_the_nightly_workflow_kills_the_line() -> None:
    """Its step of that name has the files with those tests: `-m slow` on others would pass as well."""
    (job,) = yaml.safe_load((ROOT / ".github" / "workflows" / "nightly.yml").read_text())["jobs"].values()
    (run,) = [step["run"] for step in job["steps"] if step.get("name") == "Killed at each stage"]
    told = "".join((ROOT / word).read_text() for word in run.split() if word.endswith(".py"))
    assert "def test_killed_in_the_middle_of_each_stage" in told and "though_one_is_killed" in told


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_airflow_carries_out_the_dag(tmp_path: Path) -> None:
    """Airflow itself, in an environment of its own, has no fault to find with the DAG, and calls each stage's
    command once, in order, in an environment that has the state folder; a failed one is tried twice more, and
    ends it."""
    python = Path(AIRFLOW or tmp_path / "env" / "bin" / "python")
    if not AIRFLOW:
        subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--requirement", "deploy/airflow/requirements.txt"]
        subprocess.run(pip, cwd=ROOT, check=True, timeout=2400)
    command = tmp_path / "shopfloor"
    command.write_text('#!/bin/sh\necho "$@" >> "$SHOPFLOOR_HOME/called"\ntest "$5" != "$FAIL"\n')
    command.chmod(0o755)
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "deploy" / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "SHOPFLOOR": str(command),
        "SHOPFLOOR_HOME": str(tmp_path),
        "SHOPFLOOR_SIZE": "tiny",
        "FAIL": "",
    }

    def airflow(*words: str, **changes: str) -> int:
        return subprocess.run(
            [python.parent / "airflow", *words], env=environment | changes, stdout=sys.stderr
        ).returncode

    assert airflow("db", "migrate") == 0
    assert airflow("dags", "test", "shopfloor_line", "2026-02-01") == 0
    called = (tmp_path / "called").read_text().splitlines()
    assert called == [f"line --size tiny --only {stage} --json" for stage in STAGES]
    (tmp_path / "called").unlink()
    assert airflow("dags", "test", "shopfloor_line", "2026-02-02", FAIL="rft") != 0
    called = [line.split()[4] for line in (tmp_path / "called").read_text().splitlines()]
    assert called == [*STAGES[:5], "rft", "rft"]


def test_dials_name_suites_and_families_that_there_are() -> None:
    """Every notch can be carried out: its suites and families exist, and it measures what it generates."""
    from trajectories.suites import open_suite

    for dial in DIALS.values():
        assert set(dial.demonstrations) == set(dial.families)
        for suite, own in dial.families.items():
            assert set(own) <= set(open_suite(suite).families)
