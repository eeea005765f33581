"""pass@k: how often at least one of k sampled answers is right.

Chen et al. 2021, "Evaluating Large Language Models Trained on Code" (arXiv:2107.03374): of n answers to a prompt, c of
them right, the unbiased estimate is 1 - C(n-c, k) / C(n, k); the figure is its mean over prompts.
"""

import math
from collections import defaultdict
from collections.abc import Iterable

from trainer.measures.shape import Shape
from trainer.results import Result

PROMPTS_MIN = 5
"""Fewer prompts with enough answers give no figure."""


class PassAt(Shape):
    """One model on the prompts that it answered several times."""

    samples: int
    """The most answers that a prompt has."""
    prompts: dict[int, int]
    """By k, prompts with at least k judged answers."""
    rate: dict[int, float]
    """By k: 1, 2, 4 and so on, as far as there are answers."""


def pass_at(n: int, right: int, k: int) -> float:
    """Return the estimate for one prompt of which `right` of `n` answers are right; needs k <= n."""
    return 1.0 - math.comb(n - right, k) / math.comb(n, k)


def count_pass_at(results: Iterable[Result]) -> PassAt | None:
    """Count one model's sampled answers; None where no two answers to one prompt were judged, or too few prompts."""
    judged: dict[tuple[str, int], list[bool]] = defaultdict(list)
    for result in results:
        if result.right is not None:
            judged[result.question.set, result.question.id].append(result.right)
    samples = max(map(len, judged.values()), default=0)
    prompts, rate = {}, {}
    k = 1
    while k <= samples:
        enough = [right for right in judged.values() if len(right) >= k]
        if len(enough) >= PROMPTS_MIN:
            prompts[k] = len(enough)
            rate[k] = round(sum(pass_at(len(right), sum(right), k) for right in enough) / len(enough), 6)
        k *= 2
    return PassAt(samples=samples, prompts=prompts, rate=rate) if len(rate) > 1 else None
