"""`shopfloor eval lm`: the real LM Evaluation Harness on a scripted endpoint."""

from __future__ import annotations

import json

import pytest

from agents.scripted import ScriptedServer
from apps.main import main
from eval.interface_items import make


def test_our_tasks_on_an_endpoint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for three items, an endpoint that approves everything is right on those to be approved; the
    figures go to stdout and to MLflow beside the suites'; the questions carry the role's instructions."""
    monkeypatch.setenv("SHOPFLOOR_MODEL_NAME", "scripted")
    with ScriptedServer({"check plan:": ["approve"]}) as server:
        words = ["eval", "lm", "--tasks", "shopfloor_safety", "--limit", "3", "--model", server.url, "--json"]
        assert main(words) == 0
    assert len(server.asked) == 3
    assert "You review work on a web page" in json.dumps(server.asked[0])
    said = json.loads(capsys.readouterr().out)
    expected = sum(item["answer"] == "approve" for item in make("safety")[:3]) / 3
    assert said["results"]["shopfloor_safety"]["right"] == pytest.approx(expected)
    from training.tracking import connect

    runs = connect().search_runs(experiment_names=["eval"], output_format="list")
    assert runs[0].data.metrics["shopfloor_safety/right"] == pytest.approx(expected)


def test_without_lm_eval(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where lm-eval is not installed, the command says how it is."""
    monkeypatch.setattr("apps.lm.find_spec", lambda name: None)
    assert main(["eval", "lm"]) == 2
    assert "pip install 'shopfloor[lm]'" in capsys.readouterr().err


def test_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown task and options of the suites are refused with what there is."""
    assert main(["eval", "lm", "--tasks", "no_such_task", "--model", "http://127.0.0.1:9/v1"]) == 2
    assert "no task no_such_task; ours are shopfloor_reasoning" in capsys.readouterr().err
    assert main(["eval", "lm", "--without", "image"]) == 2 and "--limit" in capsys.readouterr().err
