"""How long answers are, beside the teacher's."""

import math
from collections.abc import Iterable

from trainer.measures.shape import Shape
from trainer.results import Result

SHARES = (0.1, 0.5, 0.9)


class Lengths(Shape):
    """Tokens of one model's answers, reasoning included, by the student's tokenizer."""

    n: int
    p10: int
    p50: int
    p90: int
    longest: int
    to_teacher: float | None = None
    """Median over prompts of its tokens divided by the teacher's; None without a teacher, or for the teacher."""


def count_lengths(results: Iterable[Result], teacher: dict[int, int]) -> Lengths | None:
    """Count one model's answers in one mode; `teacher`: tokens of the teacher's stored answer by the prompt's id."""
    results = list(results)
    if not results:
        return None
    tokens = sorted(result.tokens for result in results)
    ratios = sorted(
        result.tokens / teacher[result.question.id] for result in results if teacher.get(result.question.id)
    )
    p10, p50, p90 = (tokens[math.ceil(share * len(tokens)) - 1] for share in SHARES)
    ratio = round(ratios[math.ceil(len(ratios) / 2) - 1], 4) if ratios else None
    return Lengths(n=len(tokens), p10=p10, p50=p50, p90=p90, longest=tokens[-1], to_teacher=ratio)
