"""Intervals and tests have the values of the books."""

import pytest

from filters.statistics import mcnemar, wilson


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962), (0, 0, 0.0, 1.0)],
)
def test_wilson_intervals(right: int, n: int, low: float, high: float) -> None:
    assert wilson(right, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [(10, 2, 158 / 4096), (2, 10, 158 / 4096), (5, 5, 1.0), (0, 0, 1.0), (6, 0, 2 / 64), (1, 0, 1.0)],
)
def test_exact_mcnemar(only_first: int, only_second: int, p: float) -> None:
    assert mcnemar(only_first, only_second) == pytest.approx(p)
