"""`shopfloor ab`, from a start to a champion and back. Real MLflow and SQLite; small checkpoints."""

from __future__ import annotations

import json
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agents.clients import Endpoint
from agents.scripted import ScriptedServer, pick
from apps import evaluate
from apps.feedback import judge
from apps.main import main
from tools.observation import Observation
from tools.settings import home
from training import experiment, registry
from trajectories.episode import Episode
from trajectories.store import Store
from trajectories.tasks import Outcome


def checkpoint(folder: Path, weights: str) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_text(weights)
    return folder


@pytest.mark.timeout(300)  # MLflow takes seconds to make a database
def test_a_trial_from_start_to_rollback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Undecided it moves nothing; decided, the winner is champion, and rollback brings the former back."""
    monkeypatch.setattr(registry, "RELEASED", checkpoint(tmp_path / "released", "released"))

    def shopfloor(*args: str, code: int = 0) -> Any:
        assert main([*args, "--json"]) == code
        out = capsys.readouterr().out
        return json.loads(out) if out else None

    shopfloor("ab", code=2)
    shopfloor("ab", "settle", code=2)
    better = str(checkpoint(tmp_path / "better", "better"))
    begun = shopfloor("ab", "start", better)
    assert begun["first"] == "released" and begun["share"] == 0.5
    version = begun["second"]
    shopfloor("ab", "start", better, code=2)

    r = random.Random(0)
    trial = experiment.running()
    assert trial is not None
    for i in range(8):
        trial.record(f"s{i}", f"t{i}", "checker", r.random() < 0.5)
    assert shopfloor("ab", "settle", code=1)["winner"] is None
    assert registry.alias("champion") is None

    for i in range(8, 120):
        good = 0.95 if trial.variant(f"s{i}") == version else 0.2
        trial.record(f"s{i}", f"t{i}", "checker", r.random() < good)
    shown = shopfloor("ab")
    assert shown["winner"] == version and 0 < shown["low"] < shown["difference"] < shown["high"]
    assert sum(row["n"] for row in shown["variants"].values()) == 120
    assert shown["running"]
    chosen = shopfloor("ab", "variant", "s1")
    assert chosen["folder"] == str(registry.resolve(trial.variant("s1")))

    with monkeypatch.context() as patch:

        def killed(self: experiment.Trial, winner: str | None) -> None:
            raise KeyboardInterrupt

        patch.setattr(experiment.Trial, "end", killed)
        shopfloor("ab", "settle", code=130)
    assert registry.alias("champion") == version
    settled = shopfloor("ab", "settle")
    assert settled["winner"] == version
    assert registry.alias("champion") == version
    assert (registry.resolve() / "model.safetensors").read_text() == "better"
    assert registry.former() == ("released", registry.RELEASED)
    assert experiment.running() is None and not shopfloor("ab")["running"]

    shopfloor("ab", "start", str(checkpoint(tmp_path / "third", "third")))
    assert shopfloor("train", "rollback") == {"champion": "the released model"}
    again = experiment.running()
    assert again is not None and again.first == version
    for i in range(60):
        again.record(f"s{i}", f"t{i}", "checker", again.variant(f"s{i}") == again.second)
    shopfloor("ab", "settle", code=2)  # who was compared is the champion no longer
    shopfloor("ab", "stop")
    assert registry.resolve() == registry.RELEASED


def test_a_persons_word_flows_back(tmp_path: Path) -> None:
    """What is said of an episode counts in the trial that its session was part of."""
    trial = experiment.begin("released", "2", 0.5)
    store = Store(tmp_path / "episodes")
    look = Observation("http://x/", "X", (10, 10))
    episode = Episode(
        "chat-1", "chat/x/0", "Do it", (), look, Outcome(True), "done", "team", "m", "2026-11-28T10:00:00"
    )
    folder = store.add(episode)
    trial.record("a session", "chat-1", "reviewer", True)
    assert [success for _, success in trial.outcomes()] == [True]
    judge(folder, False)
    assert [success for _, success in trial.outcomes()] == [False]


@pytest.mark.timeout(300)
def test_the_chat_takes_part(
    tmp_path: Path, chromium_path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its session is given a variant's model, and the reviewer's word on its task is kept."""
    released = checkpoint(tmp_path / "released", "released")
    monkeypatch.setattr(registry, "RELEASED", released)
    served = []

    @asynccontextmanager
    async def scripted(model: str | None) -> AsyncIterator[Endpoint]:
        served.append(model)
        with ScriptedServer() as server:
            yield Endpoint(server.url, "m")

    monkeypatch.setattr("apps.local_server.local_model", scripted)
    trial = experiment.begin("released", "9", 1e-9)
    code = main(["chat", "--json", "--no-memory", "--max-steps", "1", 'Set the language to "English".'])
    said = json.loads(capsys.readouterr().out)
    assert served == [str(released)]
    assert trial.outcomes() == [(False, code == 0)]
    assert experiment.person_says(Path(said["episode"]).name, True)
    assert trial.outcomes() == [(False, True)]


def to_the_section(question: str) -> str:
    """What the help desk's open-section wants: the link named in the goal, then done."""
    if "click(" in question:
        return 'send_msg_to_user("done")'
    return pick(re.findall(r'"([^"]+)"', question.rsplit("goal", 1)[1])[0])(question)


@pytest.mark.timeout(300)
def test_tasks_with_checkers_decide(
    tmp_path: Path, chromium_path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On live pages, with one variant that does what is asked and one that only says so, `ab try` ends as
    soon as it is sure, settles, and keeps the episodes under each variant's name."""
    good, bad = checkpoint(tmp_path / "good", "good"), checkpoint(tmp_path / "bad", "bad")
    monkeypatch.setattr(registry, "RELEASED", good)
    trial = experiment.begin("released", str(bad), 0.5)
    servers = {str(good): ScriptedServer({"act:": [to_the_section]}), str(bad): ScriptedServer()}

    @asynccontextmanager
    async def scripted(model: str) -> AsyncIterator[tuple[Endpoint, str]]:
        with servers[model] as server:
            yield Endpoint(server.url, "m"), registry.label(Path(model))

    monkeypatch.setattr(evaluate, "endpoint_of", scripted)
    asked = ["ab", "try", "helpdesk", "--tasks", "open-section", "--episodes", "40", "--json"]
    assert main(asked) == 0
    settled = json.loads(capsys.readouterr().out)
    assert settled["winner"] == "released" and experiment.running() is None
    done = Store(home() / "ab" / str(trial.id) / "episodes")
    assert len(done) == len(trial.outcomes()) < 40
    assert {e.model.split("@")[0] for e in done} == {"good", "bad"}
