"""`shopfloor eval`, as it is typed: output, exit codes, and what is logged."""

from __future__ import annotations

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agents.scripted import ScriptedServer, pick
from apps.evaluate import endpoint_of
from apps.main import main
from training.tracking import connect


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("eval")


@pytest.fixture(autouse=True)
def at_home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One state folder for this file: MLflow takes seconds to make a database."""
    monkeypatch.setenv("SHOPFLOOR_HOME", str(shared_home))


def test_json_and_log(capsys: pytest.CaptureFixture[str]) -> None:
    """stdout is one JSON object, people's table goes to stderr, and MLflow has the figures."""
    code = main(
        [
            "eval",
            "miniwob",
            "--policy",
            "oracle",
            "--tasks",
            "click-test,focus-text",
            "--episodes",
            "1",
            "--json",
        ]
    )
    out, err = capsys.readouterr()
    assert code == 0, err
    report = json.loads(out)
    assert report["success"] == 1 and report["policy"] == "oracle" and len(report["results"]) == 2
    assert "focus-text" in err
    (run,) = connect().search_runs(
        search_all_experiments=True, filter_string="params.policy = 'oracle'", output_format="list"
    )
    assert run.data.metrics["success"] == 1 and run.data.params["suite"] == "miniwob"


@pytest.mark.parametrize("policy", ["model", "team"])
def test_a_model_behind_an_endpoint(
    policy: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Model and team play real episodes against a real endpoint: right answers solve, babble is counted."""
    command = ["eval", "miniwob", "--policy", policy, "--tasks", "click-test", "--episodes", "1", "--json"]
    monkeypatch.setenv("SHOPFLOOR_MODEL_NAME", "scripted")
    right = ScriptedServer({"act:": [pick("Click Me!"), 'send_msg_to_user("done")']})
    with right:
        monkeypatch.setenv("SHOPFLOOR_MODEL_URL", right.url)
        assert main(command) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["success"], report["false_done"], report["model"]) == (1.0, 0.0, "scripted")

    with ScriptedServer({"act:": ["Well, I would say"]}) as babbler:
        monkeypatch.setenv("SHOPFLOOR_MODEL_URL", babbler.url)
        assert main(command) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["success"] == 0 and report["invalid_actions"] >= 3 and report["errors"] == 0
    if policy == "team":
        main(command)  # nobody is there any more, which is no failure of the team's
        assert json.loads(capsys.readouterr().out)["errors"] == 1


def test_the_team_keeps_to_the_policy_and_leaves_a_trace(
    shared_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the person's policy.toml refuses is not done in an evaluation either; each task is one trace, with
    the calls of all three roles in it."""
    command = ["eval", "miniwob", "--policy", "team", "--tasks", "click-test", "--episodes", "2", "--json"]
    monkeypatch.setenv("SHOPFLOOR_MODEL_NAME", "scripted")
    monkeypatch.setenv("SHOPFLOOR_TRACE", "true")
    policy = shared_home / "policy.toml"
    policy.write_text('["*"]\nwrite = "refuse"\n')
    try:
        with ScriptedServer({"act:": [pick("Click Me!")]}) as server:
            monkeypatch.setenv("SHOPFLOOR_MODEL_URL", server.url)
            assert main(command) == 0
    finally:
        policy.unlink()
    out, err = capsys.readouterr()
    assert json.loads(out)["success"] == 0 and json.loads(out)["steps"] == 0, err
    mlflow = connect()
    ids = [mlflow.get_experiment_by_name("eval").experiment_id]
    traces = mlflow.search_traces(locations=ids, return_type="list")
    assert {t.info.tags["task"] for t in traces} == set(json.loads(out)["results"]) and len(traces) == 2
    for trace in traces:
        assert trace.info.tags["outcome"] == "refused"
        asked = {s.attributes["role"] for s in trace.data.spans if s.span_type == "CHAT_MODEL"}
        assert asked == {"coder", "reviewer", "actor"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "no suite 'nowhere'"),
        (["miniwob", "--tasks", "click-tset"], "there are ascending-numbers"),
        (["miniwob", "--episodes", "0"], "episodes must be"),
        (["miniwob", "--workers", "0"], "at least 1"),
        (["miniwob", "--policy", "oracle", "--model", "x"], "uses no model"),
        (["miniwob", "--model", "nowhere"], "give a model's folder"),
        (["miniwob", "--policy", "team", "--without", "image"], "use --policy model"),
    ],
)
def test_wrong_use(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, one line on stderr with the mend, nothing on stdout."""
    assert main(["eval", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err


def test_a_model_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """An address where nothing answers: exit 1, and what to do."""
    assert main(["eval", "miniwob", "--model", "http://127.0.0.1:9/v1", "--episodes", "1"]) == 1
    assert "lists no models" in capsys.readouterr().err


@pytest.mark.parametrize(("said", "meant"), [("1", True), ("true", True), ("on", True), ("0", False)])
def test_what_a_server_can_do_is_said_as_everywhere(
    said: str, meant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model given by its URL is asked as one that is set: the switches are read alike."""
    url = "http://127.0.0.1:9/v1"
    for name, value in (("URL", url), ("NAME", "m"), ("BRIEF", said), ("GRAMMAR", said)):
        monkeypatch.setenv(f"SHOPFLOOR_MODEL_{name}", value)

    async def switches(model: str | None) -> tuple[bool, bool]:
        async with endpoint_of(model) as (endpoint, _):
            return endpoint.brief, endpoint.grammar

    assert asyncio.run(switches(None)) == asyncio.run(switches(url)) == (meant, meant)


def test_a_server_of_ours_says_which_weights_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its model keeps its name when a champion follows; a report, and the episodes kept for it, are of one
    of them, whichever way the server was named."""

    class Models(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            listed = [{"id": "other"}, {"id": "m", "version": "model@1f0c"}]
            self.wfile.write(json.dumps({"object": "list", "data": listed}).encode())

    async def label(model: str | None) -> str:
        async with endpoint_of(model) as (_, label):
            return label

    server = ThreadingHTTPServer(("127.0.0.1", 0), Models)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    assert asyncio.run(label(url)) == "other"
    monkeypatch.setenv("SHOPFLOOR_MODEL_URL", url)
    monkeypatch.setenv("SHOPFLOOR_MODEL_NAME", "m")
    assert asyncio.run(label(None)) == asyncio.run(label(url)) == "m model@1f0c"
    server.shutdown()
    server.server_close()
    assert asyncio.run(label(None)) == "m"  # whether it answers at all, its questions will tell
