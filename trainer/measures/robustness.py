"""Robustness: does the student still answer right when the prompt is put a little differently?"""

from collections.abc import Iterable

from filters.statistics import mcnemar
from trainer.measures.shape import Shape
from trainer.results import Result


class Robustness(Shape):
    """The student's greedy answers to prompts changed in one way, beside those to the same prompts as they are."""

    n: int
    """Prompts that the change reaches and on which both answers were judged."""
    right: int
    """As they are."""
    right_changed: int
    only_unchanged: int
    """Right as it is, wrong when changed."""
    only_changed: int
    difference: float
    """Accuracy on the changed prompts less that on the same ones unchanged: below 0 something is lost."""
    p_value: float
    """Exact McNemar test that the change does not matter. Of five changes one falls below 0.05 by chance in one run of
    four or five: a single such value says little."""


def count_robustness(plain: Iterable[Result], changed: Iterable[Result]) -> Robustness | None:
    """Compare greedy answers to one set's prompts with those to the same prompts changed in one way."""
    before = {result.question.id: result.right for result in plain}
    pairs = [
        (bool(before[result.question.id]), result.right)
        for result in changed
        if result.right is not None and before.get(result.question.id) is not None
    ]
    if not pairs:
        return None
    lost, gained = pairs.count((True, False)), pairs.count((False, True))
    return Robustness(
        n=len(pairs),
        right=sum(first for first, _ in pairs),
        right_changed=sum(second for _, second in pairs),
        only_unchanged=lost,
        only_changed=gained,
        difference=round((gained - lost) / len(pairs), 6),
        p_value=mcnemar(lost, gained),
    )
