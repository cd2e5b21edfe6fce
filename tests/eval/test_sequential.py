"""The sequential test keeps its error rate however often one looks, by simulation, and it does decide."""

from __future__ import annotations

import math
import random

import pytest

from eval.sequential import Comparison

RUNS, LENGTH = 200, 300


def simulated(
    first: float, second: float, share: float, seed: int, n: int = LENGTH
) -> list[tuple[bool, bool]]:
    r = random.Random(seed)
    drawn = [r.random() < share for _ in range(n)]
    return [(b, r.random() < (second if b else first)) for b in drawn]


def naive(outcomes: list[tuple[bool, bool]]) -> bool:
    """Whether a z-test at 5 % that is looked at after every outcome ever finds a difference."""
    n, wins = [0, 0], [0, 0]
    for second, success in outcomes:
        n[second] += 1
        wins[second] += success
        if min(n) >= 20:
            p = sum(wins) / sum(n)
            error = math.sqrt(p * (1 - p) * (1 / n[0] + 1 / n[1]))
            if error and abs(wins[1] / n[1] - wins[0] / n[0]) > 1.96 * error:
                return True
    return False


@pytest.mark.parametrize(("success", "share"), [(0.5, 0.5), (0.9, 0.2)])
def test_where_nothing_differs_it_seldom_decides(success: float, share: float) -> None:
    """Looked at after every outcome, it is wrong in no more than 5 % of the runs; a z-test so used is in far
    more, so the simulation would show it."""
    runs = [simulated(success, success, share, seed) for seed in range(RUNS)]
    wrong = sum(Comparison(share).after(run).winner is not None for run in runs)
    assert wrong <= 0.05 * RUNS
    assert sum(map(naive, runs)) > 0.12 * RUNS


def test_sessions_of_many_tasks() -> None:
    """Where sessions of ten tasks differ and the variants don't, sessions decide seldom, and looking before
    the last one is over changes nothing; their tasks one by one decide far too often."""
    r = random.Random(0)
    once = ever = one_by_one = 0
    for _ in range(60):
        sessions = [(r.random() < 0.5, r.betavariate(0.7, 0.7)) for _ in range(60)]
        tasks = [(second, [r.random() < success for _ in range(10)]) for second, success in sessions]
        shares = [(second, sum(own) / 10) for second, own in tasks]
        once += Comparison(0.5).after(shares).winner is not None
        ever += any(
            Comparison(0.5).after([*shares[:n], (tasks[n][0], float(tasks[n][1][0]))]).winner is not None
            for n in range(0, 60, 3)
        )
        alone = [(second, one) for second, own in tasks for one in own]
        one_by_one += Comparison(0.5).after(alone).winner is not None
    assert max(once, ever) <= 0.05 * 60 and one_by_one > 0.2 * 60


def test_the_truth_stays_in_the_interval() -> None:
    """At all times at once, in at least 95 % of the runs, the truth of a difference is held too."""
    runs = [Comparison(0.5).after(simulated(0.3, 0.6, 0.5, seed)) for seed in range(RUNS)]
    assert sum(run.low <= 0.3 <= run.high for run in runs) >= 0.95 * RUNS


def test_it_decides_for_the_better_one() -> None:
    """A difference of thirty points is found within 300 outcomes mostly, and never for the worse one."""
    runs = [Comparison(0.5).after(simulated(0.35, 0.65, 0.5, seed)).winner for seed in range(RUNS)]
    assert runs.count("second") > 0.8 * RUNS and runs.count("first") == 0
    turned = [Comparison(0.3).after(simulated(0.9, 0.4, 0.3, seed)).winner for seed in range(20)]
    assert turned.count("first") > 12 and turned.count("second") == 0


def test_once_decided_it_stays() -> None:
    """The interval only shrinks as outcomes come, so a decision that was shown is never taken back."""
    run = simulated(0.3, 0.7, 0.5, 1)
    shown = [Comparison(0.5).after(run[:n]) for n in range(0, LENGTH, 20)]
    for before, after in zip(shown, shown[1:], strict=False):
        assert before.low <= after.low and after.high <= before.high
    assert shown[0].low == -1 and shown[0].high == 1 and shown[-1].winner == "second"


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="both variants"):
        Comparison(1.0)
