"""Which of two variants does better, asked after every outcome and still wrong no more often than `alpha`.

    found = Comparison(share=0.5).after(outcomes)      # (variant is the second, its success) in order of time
    if found.winner: ...

A fixed-sample test that is looked at again and again is wrong far more often than it says. This one bets:
capital that starts at 1 and can be expected to stay there if the difference were what is assumed, so that it
ever reaches 1 / alpha with a chance of at most alpha (Ville's inequality), whenever one looks or stops. The
interval holds the differences against which nobody has got that rich, at all times at once: I. Waudby-Smith
and A. Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024),
https://arxiv.org/abs/2010.09686, section 4.4, the hedged capital of theorem 3.

What is bet on is, for each outcome, an unbiased guess at the difference of the two success shares: its
distance from what was usual before, weighed by how seldom its variant is drawn (augmented inverse
propensity; the same authors and others, https://arxiv.org/abs/2210.10768).

Of the packages for this, confseq 0.0.11 (2023) does not build here, expectation 0.6.1 wants Python 3.12, and
savvi 0.3.1 brings a convex solver along for other tests.

Not covered: more than two variants at once, and outcomes that depend on each other: tasks of one session do,
and one by one they decide several times as often as they may, so a session is one outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

ALPHA = 0.05
GRID = 401  # differences of success that are tried, -1 to 1
MOST = 0.5  # of what the worst outcome could take, staked at most (the authors' c)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sequential:
    """`difference` is the second variant's success less the first's, with its interval at all times."""

    n: int
    difference: float
    low: float
    high: float

    @property
    def winner(self) -> Literal["first", "second"] | None:
        """Who is better, as soon as that is sure; it may be asked after every outcome."""
        return "second" if self.low > 0 else "first" if self.high < 0 else None


@dataclass(frozen=True)
class Comparison:
    """`share` of the sessions go to the second variant, from beginning to end."""

    share: float
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError("both variants need a share of the sessions, between 0 and 1")

    def after(self, outcomes: Sequence[tuple[bool, float]]) -> Sequential:
        """Where the comparison stands. An outcome is whether it is the second variant's, and its success,
        from 0 to 1."""
        scores = self.scores(outcomes)
        tried = np.linspace(-1, 1, GRID)
        # The capital for each difference tried: half bets that the truth is above it, half that it is below.
        up, down = (self._capital(scores, tried, sign) for sign in (1, -1))
        holds = np.maximum(up, down).max(axis=0) - np.log(2) < np.log(1 / self.alpha)
        held = tried[holds]
        step = tried[1] - tried[0]  # what lies between two tried ones is given away
        low, high = (held[0] - step, held[-1] + step) if len(held) else (0.0, 0.0)
        mean = float(scores.mean()) if len(scores) else 0.0
        return Sequential(len(scores), mean, max(-1.0, float(low)), min(1.0, float(high)))

    def scores(self, outcomes: Sequence[tuple[bool, float]]) -> Array:
        """(n,): for each outcome a guess whose expectation is the difference, whatever came before."""
        second, success = np.array(outcomes, dtype=float).reshape(-1, 2).T
        before = np.concatenate([[0.0], np.cumsum(success)[:-1]]) if len(success) else success
        usual = (before + 0.5) / (np.arange(len(success)) + 1)  # known before the outcome is
        weight = second / self.share - (1 - second) / (1 - self.share)
        scores: Array = weight * (success - usual)
        return scores

    def _capital(self, scores: Array, tried: Array, sign: int) -> Array:
        """(n, tried): the logarithm of the capital after each outcome of who bets on one side."""
        widest = max(1 / self.share, 1 / (1 - self.share))
        stake = _stakes(scores, self.alpha)[:, None]
        # An outcome can fall `widest + |tried|` to the wrong side at most; half of that never ruins.
        stake = np.minimum(stake, MOST / (widest + np.abs(tried)[None, :]))
        capital: Array = np.cumsum(np.log1p(sign * stake * (scores[:, None] - tried[None, :])), axis=0)
        return capital if len(capital) else np.zeros((1, len(tried)))


def _stakes(scores: Array, alpha: float) -> Array:
    """(n,): the authors' predictable plug-in, from the variance of what came before."""
    n = np.arange(1, len(scores) + 1)
    mean = (np.cumsum(scores)) / (n + 1)
    spread = (1 + np.cumsum((scores - mean) ** 2)) / (n + 1)
    before = np.concatenate([[1.0], spread[:-1]]) if len(scores) else spread
    stakes: Array = np.sqrt(2 * np.log(2 / alpha) / (before * n * np.log(1 + n)))
    return stakes
