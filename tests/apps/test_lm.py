"""`shopfloor eval lm`: the real LM Evaluation Harness on a scripted endpoint."""

from __future__ import annotations

import json
from pathlib import Path

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


def test_an_endpoint_that_is_not_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named, and the exit code is that of work that failed."""
    monkeypatch.setenv("SHOPFLOOR_MODEL_NAME", "nobody")
    nowhere = "http://127.0.0.1:9/v1"
    assert main(["eval", "lm", "--tasks", "shopfloor_safety", "--limit", "1", "--model", nowhere]) == 1
    assert f"{nowhere} can't be asked" in capsys.readouterr().err


SUMS = [{"question": f"What is 1 and {n}?", "answer": f"That is {n + 1}.\n#### {n + 1}"} for n in range(7)]


@pytest.fixture
def gsm8k(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set of a standard task, as `datasets` leaves what it has fetched: sums like those of gsm8k."""
    from datasets import DatasetInfo, Features, Value, config
    from datasets.arrow_writer import ArrowWriter
    from datasets.splits import SplitDict, SplitInfo

    folder = tmp_path / "openai___gsm8k" / "main" / "0.0.0" / "abc"
    folder.mkdir(parents=True)
    kept = DatasetInfo(
        features=Features({"question": Value("string"), "answer": Value("string")}),
        dataset_name="gsm8k",
        config_name="main",
        version="0.0.0",
        splits=SplitDict(),
    )
    for split in ("train", "test"):
        with ArrowWriter(path=str(folder / f"gsm8k-{split}.arrow"), features=kept.features) as writer:
            for row in SUMS:
                writer.write(row)
            writer.finalize()
        kept.splits.add(SplitInfo(split, num_examples=len(SUMS), dataset_name="gsm8k"))
    kept.write_to_directory(str(folder))
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", str(tmp_path))


def test_a_standard_task_whose_data_is_here(
    gsm8k: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """gsm8k by its name, from its own file in lm-eval: asked with its examples, judged by its two filters, an
    answer that is right for one question of four; the figures go to stdout and to MLflow."""
    monkeypatch.setenv("SHOPFLOOR_MODEL_NAME", "scripted")
    with ScriptedServer({"act:": ["It may be 3 or so.\n#### 3"]}) as server:
        words = ["eval", "lm", "--tasks", "gsm8k", "--limit", "4", "--model", server.url, "--json"]
        assert main(words) == 0
    asked = [json.dumps(body["messages"]) for body in server.asked]
    assert len(asked) == 4 and all(text.count("Question: What is 1 and ") == 6 for text in asked)
    figures = json.loads(capsys.readouterr().out)["results"]["gsm8k"]
    assert figures["exact_match/strict-match"] == figures["exact_match/flexible-extract"] == 0.25
    from training.tracking import connect

    (run,) = connect().search_runs(experiment_names=["eval"], output_format="list")
    assert run.data.metrics["gsm8k/exact_match/strict-match"] == 0.25


def test_a_standard_task_whose_data_is_not_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said with the mend, and nobody is asked anything."""
    monkeypatch.setenv("SHOPFLOOR_MODEL_NAME", "scripted")
    with ScriptedServer() as server:
        assert main(["eval", "lm", "--tasks", "gsm8k", "--limit", "4", "--model", server.url]) == 1
    assert "gsm8k" in (said := capsys.readouterr().err) and "HF_HUB_OFFLINE=0" in said
    assert not server.asked


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
