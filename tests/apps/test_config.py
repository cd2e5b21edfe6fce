"""`shopfloor config` shows every setting with its source, and never a secret."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from apps.main import main
from tools.settings import Settings


def test_json_has_every_setting(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One JSON object on stdout: each setting's value and source, and the names alone of secrets."""
    monkeypatch.setenv("SHOPFLOOR_WORKERS", "4")
    monkeypatch.setenv("SHOPFLOOR_ACTOR_KEY", "hunter2")
    monkeypatch.setenv("SHOPFLOOR_SECRET_PIN", "hunter2")
    assert main(["config", "--json"]) == 0
    out = capsys.readouterr().out
    shown = json.loads(out)
    assert set(shown["settings"]) == {f.name for f in dataclasses.fields(Settings)}
    assert shown["settings"]["workers"] == {"value": 4, "source": "SHOPFLOOR_WORKERS"}
    assert shown["secrets"] == ["SHOPFLOOR_ACTOR_KEY", "SHOPFLOOR_SECRET_PIN"]
    assert shown["policy"] == "built in"
    assert "hunter2" not in out


def test_people_see_sources(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Values as one would write them, and a word on stderr about a variable that is no setting."""
    monkeypatch.setenv("SHOPFLOOR_HEADLESS", "false")
    monkeypatch.setenv("SHOPFLOOR_WOKRERS", "4")
    assert main(["config"]) == 0
    told = capsys.readouterr()
    line = next(x for x in told.out.splitlines() if x.startswith("headless"))
    assert line.split()[1:3] == ["false", "SHOPFLOOR_HEADLESS"]
    assert "SHOPFLOOR_WOKRERS is set but is no setting" in told.err


def test_the_policy_in_force_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its path; one that is wrong is one line and exit 2."""
    monkeypatch.chdir(tmp_path)
    Path("policy.toml").write_text('["*"]\nmoney = "refuse"\n')
    assert main(["config"]) == 0
    assert f"policy: {tmp_path / 'policy.toml'}" in capsys.readouterr().out
    Path("policy.toml").write_text('["*"]\nmoney = "never"\n')
    assert main(["config"]) == 2
    assert "rulings approve, ask, refuse" in capsys.readouterr().err


def test_bad_file_exits_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A setting that can't be used is one line and exit 2."""
    monkeypatch.chdir(tmp_path)
    Path("shopfloor.toml").write_text("wrokers = 3")
    assert main(["config"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("shopfloor: no setting 'wrokers'")
    assert error.count("\n") == 1
