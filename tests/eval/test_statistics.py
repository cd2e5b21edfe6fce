"""Statistics, against figures worked out by hand or well known."""

from __future__ import annotations

import pytest

from eval.statistics import better, paired, standard_error, wilson


def test_standard_error_and_wilson() -> None:
    """The standard error of 16 in 20 is 0.0894; Wilson's interval of 20 in 20 is 0.839 to 1."""
    assert standard_error(16, 20) == pytest.approx(0.0894, abs=1e-4)
    assert standard_error(0, 0) == 0
    assert wilson(20, 20) == pytest.approx((0.8389, 1.0), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(16, 20)
    assert (low, high) == pytest.approx((0.584, 0.919), abs=1e-3)


def test_paired_is_exact() -> None:
    """Eight won and two lost of ten apart: one-sided p = 56/1024; the interval holds the difference."""
    first = [True] * 8 + [False] * 2 + [True] * 10
    second = [False] * 8 + [True] * 2 + [True] * 10
    found = paired(first, second)
    assert (found.wins, found.losses, found.n) == (8, 2, 20)
    assert found.p == pytest.approx(56 / 1024)
    assert found.difference == pytest.approx(0.3)
    assert found.stderr == pytest.approx((0.41 / 20) ** 0.5)  # (10/20 - 0.3 ** 2) / 20
    assert paired(first, first).stderr == 0
    assert found.low < 0.3 < found.high
    assert paired(first, first).p == 1
    with pytest.raises(ValueError, match="same tasks"):
        paired([True], [])


def test_better_refuses_what_could_be_luck() -> None:
    """One win in ten is refused as luck, ten in ten is better; neither an ablation nor a side that
    broke off can decide."""

    def report(solved: int) -> dict[str, object]:
        return {"results": {f"s/f/{i}": i < solved for i in range(10)}}

    assert better([report(10)], [report(0)])[0]
    assert "could be luck" in better([report(5)], [report(4)])[1]
    assert "not better" in better([report(4)], [report(4)])[1]
    broken = report(0) | {"errors": 10, "error": "the browser died"}
    assert "10 of the champion's episodes broke off (the browser died)" in better([report(10)], [broken])[1]
    with pytest.raises(ValueError, match="ablation"):
        better([report(10) | {"without": "image"}], [report(0)])
