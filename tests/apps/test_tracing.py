"""`trace` with an MLflow server's address: a real server, a chat, and what the server has then."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agents.scripted import ScriptedServer, pick
from tools.lifeline import die_with_parent

DONE = 'send_msg_to_user("done")'


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[str]:
    """Its address; its database and files lie in the test's own folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    store = [
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/mlflow.db",
        "--artifacts-destination",
        tmp_path / "a",
    ]
    command = [sys.executable, "-m", "mlflow", "server", "--port", port, "--workers", "1", *store]
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, preexec_fn=die_with_parent)
    url = f"http://127.0.0.1:{port}"
    until = time.monotonic() + 300
    while True:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5)
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < until, "MLflow's server did not start"
            time.sleep(0.5)
    yield url
    os.killpg(process.pid, 15)  # and its workers
    process.wait(60)


def asked(url: str, **body: Any) -> Any:
    """What its REST API answers."""
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_task_is_one_trace_at_a_server(tmp_path: Path, mlflow_server: str, chromium_path: str) -> None:
    """One task of the team is one trace in the experiment `chat`, which names its episode and adds up the
    tokens; every call of a model lies beneath the task, with its role."""
    page = tmp_path / "notes.html"
    page.write_text("<title>Notes</title><button onclick=\"this.textContent = 'Sorted'\">Sort</button>")
    with ScriptedServer({"act:": [pick("Sort"), DONE]}) as models:
        where = {"SHOPFLOOR_MODEL_URL": models.url, "SHOPFLOOR_MODEL_NAME": "scripted"}
        where |= {"SHOPFLOOR_TRACE": mlflow_server}
        words = [sys.executable, "-m", "apps.main", "chat", "--json", "--no-memory", "--url", page.as_uri()]
        ran = subprocess.run(
            [*words, "Sort the notes"], env={**os.environ, **where}, capture_output=True, text=True
        )
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)

    api = f"{mlflow_server}/api"
    found = asked(f"{api}/2.0/mlflow/experiments/get-by-name?experiment_name=chat")
    chat = {"experiment_id": found["experiment"]["experiment_id"]}
    places = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": chat}]
    (trace,) = asked(f"{api}/3.0/mlflow/traces/search", locations=places)["traces"]
    assert trace["state"] == "OK" and trace["tags"]["outcome"] == "done"
    assert trace["tags"]["episode"] == Path(said["episode"]).name
    total = json.loads(trace["trace_metadata"]["mlflow.trace.tokenUsage"])
    assert total["total_tokens"] == said["prompt_tokens"] + said["completion_tokens"]

    whole = asked(f"{api}/3.0/mlflow/traces/get?trace_id={trace['trace_id']}")["trace"]
    spans = {span["span_id"]: span for span in whole["spans"]}
    (task,) = (id for id, span in spans.items() if not span.get("parent_span_id"))
    assert spans[task]["name"] == "Sort the notes"
    calls = [span for span in spans.values() if attribute(span, "mlflow.spanType") == "CHAT_MODEL"]
    assert Counter(attribute(call, "role") for call in calls) == {"coder": 1, "reviewer": 2, "actor": 2}
    assert len(calls) == len(models.asked)
    for above in calls:
        while above["span_id"] != task:
            above = spans[above["parent_span_id"]]  # a missing one is a KeyError


def attribute(span: Mapping[str, Any], key: str) -> str:
    """A text that a span has, or nothing."""
    values = {own["key"]: own["value"] for own in span["attributes"]}
    return str(values.get(key, {}).get("string_value", ""))
