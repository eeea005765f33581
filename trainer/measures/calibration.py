"""Calibration: does a model that is sure turn out to be right?

Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv:1706.04599): answers are put into bins of equal width
by the confidence in them, and the expected calibration error is the mean distance of a bin's confidence from its
accuracy, weighted by its answers.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from filters.verifiers import certain
from filters.vote import FOUND
from trainer.measures.shape import Shape
from trainer.results import Result

BINS = 10
VOTED = {"math": "math", "number": "math", "choice": "choice", "exact": "exact"}
"""Verifiers whose answers can agree with each other, and how `filters.vote` finds them. Programs and JSON differ in
spelling and mean the same, so their agreement says nothing."""


class Bin(Shape):
    """Answers of like confidence."""

    n: int
    confidence: float
    """Their mean."""
    accuracy: float


class Calibration(Shape):
    """One model by one kind of confidence."""

    n: int
    ece: float
    """Expected calibration error, 0 is best."""
    over: float
    """Mean confidence less accuracy: above 0 the model is surer than it is right."""
    bins: list[Bin]
    """Of ten of equal width from 0 to 1, those with answers."""


def calibrate(pairs: Sequence[tuple[float, bool]]) -> Calibration | None:
    """Count pairs of confidence, 0 to 1, and rightness; None where there are none."""
    if not pairs:
        return None
    binned: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for confidence, right in pairs:
        binned[min(BINS - 1, int(confidence * BINS))].append((confidence, right))
    bins = [
        Bin(
            n=len(found),
            confidence=round(sum(confidence for confidence, _ in found) / len(found), 6),
            accuracy=round(sum(right for _, right in found) / len(found), 6),
        )
        for _, found in sorted(binned.items())
    ]
    n = len(pairs)
    return Calibration(
        n=n,
        ece=round(sum(each.n * abs(each.confidence - each.accuracy) for each in bins) / n, 6),
        over=round(sum(each.n * (each.confidence - each.accuracy) for each in bins) / n, 6),
        bins=bins,
    )


def token_probabilities(results: Iterable[Result]) -> list[tuple[float, bool]]:
    """Return of each judged answer the mean probability that the model gave its tokens, and whether it is right."""
    return [
        (result.confidence, result.right)
        for result in results
        if result.confidence is not None and result.right is not None
    ]


def vote_shares(results: Iterable[Result]) -> list[tuple[float, bool]]:
    """Return for each prompt the share of its sampled answers that agree on the commonest one, and whether it is right.

    Wang et al. 2022, "Self-Consistency" (arXiv:2203.11171), use this share as confidence. Answers without a final one
    vote for none. Prompts whose answers cannot be compared, or with a single answer, are left out.
    """
    by_prompt: dict[tuple[str, int], list[Result]] = defaultdict(list)
    for result in results:
        if result.question.verifier in VOTED:
            by_prompt[result.question.set, result.question.id].append(result)
    pairs = []
    for answers in by_prompt.values():
        if len(answers) < 2:
            continue
        first = max(_groups(answers), key=len, default=[])
        judged = next((answer.right for answer in first if answer.right is not None), None)
        if judged is not None:
            pairs.append((len(first) / len(answers), judged))
    return pairs


def _groups(answers: list[Result]) -> list[list[Result]]:
    """Group answers to one prompt that end in the same; what is not certainly the same stands apart."""
    groups: list[tuple[str, list[Result]]] = []
    for answer in answers:
        compare = VOTED[answer.question.verifier]
        final = FOUND[compare](answer.response)
        if final is None:
            continue
        for spelling, group in groups:
            if spelling == final or (compare == "math" and certain.equal(final, spelling)):
                group.append(answer)
                break
        else:
            groups.append((final, [answer]))
    return [group for _, group in groups]
