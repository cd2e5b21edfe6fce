"""Settings: where each comes from, which wins, and what is said of one that can't be used."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from tools import settings


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without a shopfloor.toml, and an environment that is put back."""
    monkeypatch.chdir(tmp_path)
    for field in dataclasses.fields(settings.Settings):
        monkeypatch.setenv(settings.variable(field.name), "")  # so that export's writes are undone


def write(text: str, folder: Path = Path(".")) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shopfloor.toml").write_text(text, encoding="utf-8")


def test_defaults_need_no_file() -> None:
    """With nothing set, every setting has its default, and looking makes no state folder."""
    assert settings.load() == settings.Settings()
    assert {f.source for f in settings.find()} == {"default"}


def test_environment_wins_over_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value in the file counts until the environment has one; each says where it came from."""
    write('workers = 3\nmodel = "here"\nheadless = false\n')
    monkeypatch.setenv("SHOPFLOOR_WORKERS", "5")
    found = {f.name: f for f in settings.find()}
    assert (found["workers"].value, found["workers"].source) == (5, "SHOPFLOOR_WORKERS")
    assert found["model"].value == "here"
    assert found["model"].source.endswith("shopfloor.toml")
    assert found["headless"].value is False


def test_file_beside_us_before_file_at_home() -> None:
    """The working directory's file is used, else the state folder's."""
    write("workers = 7", settings.home())
    assert settings.load().workers == 7
    write("workers = 8")
    assert settings.load().workers == 8


def test_export_feeds_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that reads SHOPFLOOR_* sees the file's settings, flags as 1 or 0; what was set there stays."""
    write('coder_url = "http://127.0.0.1:1/v1"\ncoder_model = "big"\nactor_brief = true\nworkers = 3')
    monkeypatch.setenv("SHOPFLOOR_CODER_MODEL", "mine")
    settings.export()
    assert os.environ["SHOPFLOOR_CODER_URL"] == "http://127.0.0.1:1/v1"
    assert os.environ["SHOPFLOOR_CODER_MODEL"] == "mine"
    assert os.environ["SHOPFLOOR_ACTOR_BRIEF"] == "1"
    assert os.environ["SHOPFLOOR_WORKERS"] == "3"


@pytest.mark.parametrize(
    ("text", "value"), [("true", "on"), ("false", None), ("'http://here:5000'", "http://here:5000")]
)
def test_traces_are_kept_here_there_or_not(text: str, value: str | None) -> None:
    """One setting says both whether and where."""
    write(f"trace = {text}")
    assert settings.load().trace == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("wrokers = 3", "no setting 'wrokers'"),
        ("[coder]\nurl = 'http://x'", "no setting 'coder'"),
        ("workers = 0", "whole number from 1"),
        ("workers = 2.5", "whole number from 1"),
        ("headless = 'maybe'", "true or false"),
        ("model_url = '127.0.0.1'", "address such as"),
        ("trace = 'mlflow.db'", "address of an MLflow server"),
        ("model_key = 'abc'", "set SHOPFLOOR_MODEL_KEY"),
        ("workers = ", "not valid TOML"),
    ],
)
def test_what_cannot_be_used_is_said(text: str, said: str) -> None:
    """Unknown, misshapen and secret settings are errors that say what would do."""
    write(text)
    with pytest.raises(settings.SettingsError, match=said):
        settings.export()


def test_strangers_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable is named; settings, secrets and switches are not."""
    monkeypatch.setenv("SHOPFLOOR_VEIWPORT", "1x1")
    monkeypatch.setenv("SHOPFLOOR_MODEL_KEY", "secret")
    monkeypatch.setenv("SHOPFLOOR_DEBUG", "1")
    assert "SHOPFLOOR_VEIWPORT" in settings.strangers()
    assert not {"SHOPFLOOR_MODEL_KEY", "SHOPFLOOR_DEBUG", "SHOPFLOOR_HOME"} & set(settings.strangers())


def test_home_follows_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SHOPFLOOR_HOME names the state folder; unset, it is .shopfloor here. `home_path` makes nothing."""
    monkeypatch.setenv("SHOPFLOOR_HOME", str(tmp_path / "a" / "b"))
    assert not settings.home_path().exists()
    assert settings.home().is_dir()
    monkeypatch.delenv("SHOPFLOOR_HOME")
    assert settings.home_path() == tmp_path / ".shopfloor"
