"""A/B trials: who gets which model, and whose word on a task counts. Real SQLite."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from training.experiment import TrialError, begin, latest, person_says, running


def test_a_session_keeps_its_model() -> None:
    """The share is kept, a session's model is the same in another process, and a new trial draws anew."""
    assert running() is None and latest() is None
    trial = begin("released", "2", 0.2)
    got = {f"s{i}": trial.variant(f"s{i}") for i in range(2000)}
    assert 0.16 < sum(v == "2" for v in got.values()) / len(got) < 0.24
    asked = "from training.experiment import running; print(*[running().variant(f's{i}') for i in range(50)])"
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert said.stdout.split() == [got[f"s{i}"] for i in range(50)]
    trial.end(None)
    again = begin("released", "2", 0.2)
    assert [again.variant(s) for s in got] != list(got.values())


def test_one_trial_at_a_time() -> None:
    """A second is refused until the first has ended; so are two of a kind, and shares of nothing."""
    with pytest.raises(TrialError, match="both variants are 1"):
        begin("1", "1", 0.5)
    with pytest.raises(TrialError, match="share of 1.0"):
        begin("1", "2", 1.0)
    first = begin("1", "2", 0.5)
    with pytest.raises(TrialError, match="running already"):
        begin("1", "3", 0.5)
    first.record("s", "t", "reviewer", True)
    first.end("2")
    first.record("s", "late", "reviewer", True)
    assert running() is None and len(first.outcomes()) == 1  # a session that goes on is no part of it
    ended = latest()
    assert ended is not None and (ended.id, ended.winner) == (first.id, "2")
    assert begin("2", "3", 0.5).id != first.id


def test_whose_word_counts() -> None:
    """A person's over a checker's over the reviewer's, each task once, in the order they were done."""
    trial = begin("1", "2", 0.5)
    side = {name: next(f"s{i}" for i in range(99) if trial.variant(f"s{i}") == name) for name in ("1", "2")}
    trial.record(side["1"], "t1", "reviewer", True)
    time.sleep(0.01)
    trial.record(side["2"], "t2", "checker", False)
    trial.record(side["2"], "t2", "reviewer", True)
    time.sleep(0.01)
    trial.record(side["2"], "t3", "reviewer", False)
    assert trial.outcomes() == [(False, True), (True, False), (True, False)]
    assert person_says("t1", False) and person_says("t3", True)
    assert trial.outcomes() == [(False, False), (True, False), (True, True)]
    assert person_says("t3", False)
    assert trial.outcomes()[2] == (True, False)
    assert not person_says("unknown", True)
    assert len(trial.outcomes()) == 3
    trial.record(side["2"], "t4", "checker", True)
    assert trial.sessions() == [(False, 0.0), (True, 1 / 3)]
