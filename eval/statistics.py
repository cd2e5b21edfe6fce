"""How sure a figure is: standard errors, intervals, and whether one policy is better than another.

Not covered: running anything (`runner.py`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BROKEN = 0.05  # share of episodes


def standard_error(successes: int, n: int) -> float:
    """Of a share: sqrt(p(1-p)/n). Nought when all or none succeeded; see `wilson` for an honest interval."""
    if n == 0:
        return 0.0
    p = successes / n
    return math.sqrt(p * (1 - p) / n)


def wilson(successes: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """The Wilson score interval of a share (95 % by default): right near 0 and 1 too."""
    if n == 0:
        return 0.0, 1.0
    p = successes / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Paired:
    """Two policies on the same tasks: `wins` the first alone solved, `losses` the second alone.

    `p` is one-sided: how likely as many wins or more would be, were they equal (McNemar's test, exact).
    """

    n: int
    wins: int
    losses: int
    difference: float
    low: float
    high: float
    p: float

    @property
    def stderr(self) -> float:
        """Of the difference, over tasks."""
        return math.sqrt(((self.wins + self.losses) / self.n - self.difference**2) / self.n)


def paired(first: Sequence[bool], second: Sequence[bool], *, draws: int = 2000, seed: int = 0) -> Paired:
    """Compare results task by task; the interval of the difference is a 95 % bootstrap over tasks."""
    if len(first) != len(second) or not first:
        raise ValueError("a paired comparison needs the same tasks, at least one, on both sides")
    differences = [int(a) - int(b) for a, b in zip(first, second, strict=True)]
    n, wins, losses = len(differences), differences.count(1), differences.count(-1)
    apart = wins + losses
    p = sum(math.comb(apart, k) for k in range(wins, apart + 1)) / 2**apart
    rng = random.Random(seed)
    means = sorted(sum(rng.choices(differences, k=n)) / n for _ in range(draws))
    low, high = means[int(0.025 * draws)], means[int(0.975 * draws) - 1]
    return Paired(n, wins, losses, sum(differences) / n, low, high, p)


def better(
    challenger: Sequence[Mapping[str, Any]], champion: Sequence[Mapping[str, Any]], alpha: float = 0.05
) -> tuple[bool, str]:
    """Whether the first reports (JSON of `runner.Report`) beat the second on the same tasks, and why.

    Refused when the tasks are not the very same ones, when more than a few episodes of a side broke off
    (`BROKEN`: that says nothing of the model), or when luck would do as well more than `alpha` of the time.
    """
    policies = {report.get("policy") for report in (*challenger, *champion)}
    if len(policies) > 1:
        return (
            False,
            f"refused: different policies, {', '.join(sorted(map(str, policies)))}; evaluate both alike",
        )
    ours, theirs = _results(challenger), _results(champion)
    if not ours:
        return False, "refused: the challenger's report has no episodes"
    if ours.keys() != theirs.keys():
        alone = len(ours.keys() ^ theirs.keys())
        return False, (
            f"refused: not the same tasks on both sides ({alone} on one only); evaluate both with the same "
            "suites, tasks, seed and episodes"
        )
    for side, reports in (("challenger", challenger), ("champion", champion)):
        broke = sum(report.get("errors", 0) for report in reports)
        if broke > BROKEN * len(ours):
            error = next(report["error"] for report in reports if report.get("errors"))
            return False, f"refused: {broke} of the {side}'s episodes broke off ({error}); evaluate again"
    tasks = sorted(ours)
    c = paired([ours[t] for t in tasks], [theirs[t] for t in tasks])
    figures = (
        f"{c.difference:+.1%} on {c.n} tasks (95 % {c.low:+.1%} to {c.high:+.1%}; "
        f"{c.wins} won, {c.losses} lost, p = {c.p:.3f})"
    )
    if c.difference <= 0:
        return False, f"refused: not better, {figures}"
    if c.p > alpha:
        return False, f"refused: could be luck, {figures}; evaluate on more episodes"
    return True, f"better: {figures}"


def _results(reports: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    """Task id to success, over several reports."""
    results: dict[str, bool] = {}
    for report in reports:
        if report.get("without"):
            raise ValueError(
                "a report without screenshots or history is an ablation; it can't decide a promotion"
            )
        results.update(report["results"])
    return results
