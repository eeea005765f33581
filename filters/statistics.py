"""The two pieces of statistics in pass rates and reports, as scipy has them."""

from typing import NamedTuple


class Interval(NamedTuple):
    """Bounds of a proportion."""

    low: float
    high: float


def wilson(right: int, n: int) -> Interval:
    """Return the 95 % score interval of `right` out of `n` (Wilson 1927, J. Am. Stat. Assoc. 22, 209-212).

    Unlike the textbook interval it stays within 0 and 1 and is honest where all or none are right. Nothing judged
    says nothing: (0, 1).
    """
    from scipy.stats import binomtest

    if n == 0:
        return Interval(0.0, 1.0)
    bounds = binomtest(right, n).proportion_ci(0.95, method="wilson")
    return Interval(float(bounds.low), float(bounds.high))


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value that two models, asked the same prompts, are equally good.

    Only prompts on which they differ count; under the hypothesis each falls to either with probability one half
    (McNemar 1947, Psychometrika 12, 153-157, in its exact binomial form).
    """
    from scipy.stats import binomtest

    differing = only_first + only_second
    return float(binomtest(only_first, differing, 0.5).pvalue) if differing else 1.0
