"""Registry: which model is in use, and when that changes. Real MLflow and SQLite; small checkpoints.

Most of it is one story, because MLflow takes seconds to make a database.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from apps.main import main
from eval.statistics import better
from training import registry


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHOPFLOOR_HOME", str(tmp_path / "home"))
    released = checkpoint(tmp_path / "released", "released")
    monkeypatch.setattr(registry, "RELEASED", released)
    return tmp_path


def checkpoint(folder: Path, weights: str) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_text(weights)
    (folder / "checkpoint-10").mkdir()
    (folder / "checkpoint-10" / "optimizer.pt").write_text("big")
    return folder


def report(solved: int, n: int = 40) -> dict[str, Any]:
    return {"results": {f"miniwob/click-test/{i}": i < solved for i in range(n)}}


def test_champions_come_and_go(state: Path) -> None:
    """Register, refuse, promote, refuse again, promote over it, roll back twice to the released model."""
    solves = {"released": 10, "bad": 9, "good": 30, "best": 40}

    def evaluate(folder: Path) -> list[dict[str, Any]]:
        return [report(solves[(folder / "model.safetensors").read_text()])]

    assert registry.resolve() == registry.RELEASED
    bad = registry.register(checkpoint(state / "bad", "bad"), {"success": 0.2})
    assert registry.alias("challenger") == bad
    assert (registry.resolve("challenger") / "model.safetensors").read_text() == "bad"
    assert not (registry.resolve("challenger") / "checkpoint-10").exists()
    assert state / "home" in registry.resolve(bad).parents

    refused = registry.promote_if_better(None, evaluate, better)
    assert (refused.promoted, refused.version) == (False, bad)
    assert "not better" in refused.reason
    assert registry.resolve() == registry.RELEASED

    first = registry.promote_if_better(str(checkpoint(state / "good", "good")), evaluate, better)
    assert first.promoted and first.replaced is None
    assert (registry.resolve() / "model.safetensors").read_text() == "good"
    assert registry.alias("challenger") is None
    assert "already" in registry.promote_if_better("champion", evaluate, better).reason

    best = registry.register(checkpoint(state / "best", "best"), {})
    other_tasks = {"results": {"miniwob/click-test/99": True}}
    assert "not the same tasks" in registry.promote(best, [other_tasks], [report(30)], better).reason
    stranger = report(40) | {"model": "other@0123456789ab"}
    assert "is of other@" in registry.promote(best, [stranger], [report(30)], better).reason
    own = registry.label(state / "best")
    assert own.startswith("best@") and registry.label(registry.resolve(best)).endswith(own[4:])
    assert registry.alias("champion") == first.version
    second = registry.promote(best, [report(40) | {"model": own}], [report(30)], better)
    assert second.promoted and second.replaced == first.version
    assert registry.resolve("champion") == registry.resolve(best)

    assert registry.rollback() == first.version
    assert registry.resolve() == registry.resolve(first.version)
    assert registry.rollback() is None
    assert registry.resolve() == registry.RELEASED
    with pytest.raises(registry.NoModel, match="no champion"):
        registry.rollback()


def test_names_that_mean_nothing(state: Path) -> None:
    """Each wrong name gets an answer that says what would do, and asking makes no database."""
    for name, said in (
        ("champion", "no champion yet"),
        ("7", "no version 7"),
        ("nowhere", "give a model's folder"),
    ):
        with pytest.raises(registry.NoModel, match=said):
            registry.resolve(name)
    with pytest.raises(registry.NoModel, match="no challenger"):
        registry.promote_if_better(None, lambda folder: [], better)
    with pytest.raises(registry.NoModel, match="holds no model"):
        registry.register(state, {})
    assert registry.resolve(str(state / "released")) == state / "released"
    assert not (state / "home" / "mlflow.db").exists()


def test_a_promotion_that_cannot_be_judged(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A suite that there is not is said before an hour went into the one before it; blanks are no matter."""
    asked: list[str] = []

    async def measure(args: Any) -> Any:
        asked.append(args.suite)
        raise ValueError("measured")

    monkeypatch.setattr("apps.evaluate.measure", measure)
    words = ["train", "promote", str(checkpoint(state / "new", "new")), "--suites"]
    assert main([*words, "helpdesk,minwob"]) == 2
    assert "no suite 'minwob'" in capsys.readouterr().err and not asked
    assert main([*words, "helpdesk, miniwob"]) == 2
    assert asked == ["helpdesk"]
