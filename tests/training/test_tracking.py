"""Tracking: what a run and a task leave behind. Real MLflow, a real SQLite file, one for all tests here."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from agents.spans import Span, span
from tools.version import commit
from training.traces import TraceLost, write
from training.tracking import connect, digest, start_run


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tracking")


@pytest.fixture(autouse=True)
def at_home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPFLOOR_HOME", str(shared_home))


def test_a_run_keeps_what_made_it(shared_home: Path, tmp_path: Path) -> None:
    """Parameters, metrics, artifacts and commit are read back from the state folder."""
    (tmp_path / "data.json").write_text("{}")
    with start_run("sft", {"size": "nano", "steps": 3}) as run:
        run.log_metrics({"loss": 2.0}, step=1)
        run.log_metrics({"loss": 0.5}, step=2)
        run.log_artifact(tmp_path / "data.json", "in")
        run.log_json({"success": 1}, "report.json")
    kept = connect().get_run(run.id)
    assert kept.info.status == "FINISHED"
    assert kept.data.params == {"size": "nano", "steps": "3"}
    assert kept.data.metrics == {"loss": 0.5}
    assert kept.data.tags["commit"] == commit()
    assert shared_home in run.artifacts.parents
    assert (run.artifacts / "in" / "data.json").read_text() == "{}"
    assert json.loads((run.artifacts / "report.json").read_text()) == {"success": 1}


def test_a_run_that_fails_says_so() -> None:
    """An exception passes on, and the run is marked failed; an interrupt, killed. Neither stays open."""
    with pytest.raises(ZeroDivisionError), start_run("sft", {}) as failed:
        _ = 1 / 0
    with pytest.raises(KeyboardInterrupt), start_run("sft", {}) as killed:
        raise KeyboardInterrupt
    mlflow = connect()
    assert mlflow.active_run() is None
    assert mlflow.get_run(failed.id).info.status == "FAILED"
    assert mlflow.get_run(killed.id).info.status == "KILLED"


def test_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    """Equal folders have equal digests wherever they lie; a renamed or changed file changes it."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        (folder / "inner").mkdir(parents=True)
        (folder / "inner" / "x").write_text("1")
    assert digest(folders[0]) == digest(folders[1])
    (folders[1] / "inner" / "x").rename(folders[1] / "inner" / "y")
    renamed = digest(folders[1])
    assert digest(folders[0]) != renamed
    (folders[1] / "inner" / "y").write_text("2")
    assert digest(folders[1]) != renamed
    with pytest.raises(FileNotFoundError, match="no data"):
        digest(tmp_path / "none")


def tree() -> Span:
    """A task of one model call and one action, which a policy refused."""
    with span("task", "Sign in with hunter2-hunter2", page="http://desk/") as root:
        with (
            span("turn", "actor"),
            span("model", "actor", messages=[{"role": "user", "content": "act:"}]) as m,
        ):
            m.came |= {"texts": ["click(1)"], "prompt_tokens": 120, "completion_tokens": 7}
        with pytest.raises(ValueError), span("action", "click(1)"), span("policy", "click(1)") as p:
            p.came |= {"decision": "refuse", "why": 'it says "hunter2-hunter2"'}
            raise ValueError("no")
    return root


def test_one_trace_with_all_that_was_done(shared_home: Path) -> None:
    """Spans, times, tokens and tags are read back as they were; a secret is not."""
    root = tree()
    trace = write(
        root, "on", "chat", masked=lambda t: t.replace("hunter2-hunter2", "{{pw}}"), tags={"at": "x"}
    )
    kept: Any = connect().MlflowClient().get_trace(trace)
    spans = {s.name: s for s in kept.data.spans}
    assert len(kept.data.spans) == 5 and kept.info.tags["at"] == "x"
    task, turn, model = spans["Sign in with {{pw}}"], *(s for s in kept.data.spans if s.name == "actor")
    assert (turn.parent_id, model.parent_id) == (task.span_id, turn.span_id)
    assert model.attributes["role"] == "actor" and model.span_type == "CHAT_MODEL"
    assert kept.info.token_usage == {"input_tokens": 120, "output_tokens": 7, "total_tokens": 127}
    policy = next(s for s in kept.data.spans if s.span_type == "GUARDRAIL")
    assert policy.outputs == {"decision": "refuse", "why": 'it says "{{pw}}"', "failed": "no"}
    assert policy.status.status_code == "ERROR"
    assert (task.start_time_ns, task.end_time_ns) == (root.began, root.ended)
    assert b"hunter2" not in (shared_home / "mlflow.db").read_bytes()


def test_a_server_that_is_not_there_is_said_soon() -> None:
    """The error names it; a task that is done is not held up by it for long."""
    began = time.monotonic()
    with pytest.raises(TraceLost, match="http://127.0.0.1:9"):
        write(tree(), "http://127.0.0.1:9", "chat", masked=str, tags={})
    assert time.monotonic() - began < 25
    connect()  # MLflow keeps the last address that it was given
