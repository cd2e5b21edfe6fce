"""How well a model tells better answers from worse: figures over preference pairs, before and after training.

Not covered: which pairs there are, and what a model gives them (`training/dpo.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import stdev

from eval.statistics import paired, standard_error

Given = tuple[float, float]  # log-probabilities of the chosen and the rejected answer


def preferred(
    roles: Sequence[str], before: Sequence[Given], after: Sequence[Given], beta: float
) -> dict[str, dict[str, float]]:
    """Figures over pairs, those of all roles ("all") and of each, with standard errors over pairs.

    `before`, `after`: the share of pairs whose chosen answer is the likelier. The reward is DPO's implicit
    one (https://arxiv.org/abs/2305.18290), beta times what an answer's log-probability gained: before
    training it is nought for every pair. Raises ValueError without a pair, or unless all three are of one
    length.
    """
    if not len(roles) == len(before) == len(after):
        raise ValueError("a role, a before and an after for each pair")
    groups = {"all": range(len(roles))} | {
        role: [i for i, own in enumerate(roles) if own == role] for role in sorted(set(roles))
    }
    return {
        name: _figures([before[i] for i in own], [after[i] for i in own], beta)
        for name, own in groups.items()
    }


def _figures(before: Sequence[Given], after: Sequence[Given], beta: float) -> dict[str, float]:
    n = len(before)
    likelier = [[chosen > rejected for chosen, rejected in side] for side in (before, after)]
    gain = paired(likelier[1], likelier[0])
    margins = [beta * ((a[0] - b[0]) - (a[1] - b[1])) for b, a in zip(before, after, strict=True)]
    right = sum(margin > 0 for margin in margins)
    return {
        "pairs": n,
        "before": sum(likelier[0]) / n,
        "after": sum(likelier[1]) / n,
        "gain": gain.difference,
        "gain_stderr": gain.stderr,
        "reward_accuracy": right / n,
        "reward_accuracy_stderr": standard_error(right, n),
        "reward_margin": sum(margins) / n,
        "reward_margin_stderr": stdev(margins) / n**0.5 if n > 1 else 0.0,
    }
