"""A task's trace in MLflow: a real SQLite file, and a server that is not there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from agents.spans import Span, span
from training.traces import TraceLost, write
from training.tracking import connect


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


@pytest.fixture(autouse=True)
def at_home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPFLOOR_HOME", str(shared_home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # put back: MLflow writes it


def tree() -> Span:
    """A task of one model call and one action, which a policy refused."""
    with span("task", "Sign in with hunter2-hunter2", page="http://desk/") as root:
        with span("turn", "actor"), span("model", "actor", messages=[{"role": "user", "content": "act:"}]) as m:
            m.came |= {"texts": ["click(1)"], "prompt_tokens": 120, "completion_tokens": 7}
        with pytest.raises(ValueError), span("action", "click(1)"), span("policy", "click(1)") as p:
            p.came |= {"decision": "refuse", "why": 'it says "hunter2-hunter2"'}
            raise ValueError("no")
    return root


def test_one_trace_with_all_that_was_done(shared_home: Path) -> None:
    """Spans, times, tokens and tags are read back as they were; a secret is not."""
    root = tree()
    trace = write(root, "on", "chat", masked=lambda t: t.replace("hunter2-hunter2", "{{pw}}"), tags={"at": "x"})
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
