"""Figures over preference pairs, against some worked out by hand."""

from __future__ import annotations

import pytest

from eval.preferences import preferred


def test_figures_by_role() -> None:
    """Of four pairs one was told right before and three are after; rewards are gains on the start, times
    beta, so a pair told right from the start may lose."""
    roles = ["actor", "actor", "actor", "reviewer"]
    before = [(-2.0, -1.0), (-2.0, -1.0), (-1.0, -4.0), (-3.0, -1.0)]
    after = [(-1.0, -2.0), (-1.0, -3.0), (-1.0, -3.0), (-3.0, -1.0)]
    found = preferred(roles, before, after, beta=0.1)
    total = found["all"]
    assert (total["pairs"], total["before"], total["after"]) == (4, 0.25, 0.75)
    assert total["gain"] == 0.5 and total["gain_stderr"] == pytest.approx((0.25 / 4) ** 0.5)
    assert found["actor"]["reward_accuracy"] == pytest.approx(2 / 3)
    assert found["actor"]["reward_margin"] == pytest.approx(0.1 * (2 + 3 - 1) / 3)
    assert found["reviewer"]["reward_margin"] == found["reviewer"]["reward_margin_stderr"] == 0.0
    with pytest.raises(ValueError, match="for each pair"):
        preferred(["actor"], before, after, 0.1)
    with pytest.raises(ValueError, match="at least one"):
        preferred([], [], [], 0.1)
