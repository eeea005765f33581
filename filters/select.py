"""Filter `select`: keep K of N, at random or in order, with a cap on the answers of one prompt."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal

from pydantic import PositiveInt

from filters.base import Filter
from filters.sample import Sample
from filters.verdict import KEEP, Verdict, reject


class Select(Filter):
    """Keep at most `count` samples and at most `per_prompt` of each prompt; the same ones whatever the order read.

    With `by: random` and nothing else this is the equal-size control against which any other filter can be measured.
    """

    alone: ClassVar[bool] = False
    kind: Literal["select"] = "select"
    count: PositiveInt | None = None
    """How many samples to keep in all; none means no limit."""
    per_prompt: PositiveInt | None = None
    """A prompt with many right answers should not outweigh the others."""
    by: Literal["random", "order"] = "random"
    """`order` keeps the first, which favours whatever was asked first."""
    seed: int = 0
    """Another seed draws another sample; the draw depends on this and the trace's id alone."""

    def judge(self, samples: Iterable[Sample]) -> Iterator[Verdict]:
        """Read all samples, keeping their ids alone, then yield the verdicts in order."""
        ids = [(sample.id, sample.prompt_id) for sample in samples]
        drawn = sorted(range(len(ids)), key=lambda place: (self._rank(ids[place][0]), place))
        kept = 0
        of_prompt: Counter[int] = Counter()
        verdicts: dict[int, Verdict] = {}
        for place in drawn:
            prompt_id = ids[place][1]
            of_prompt[prompt_id] += 1
            if self.per_prompt is not None and of_prompt[prompt_id] > self.per_prompt:
                verdicts[place] = reject("per_prompt_cap", f"the prompt has {self.per_prompt} samples already")
            elif self.count is not None and kept >= self.count:
                verdicts[place] = reject("not_selected", f"not among the {self.count} drawn ({self.by})")
            else:
                kept += 1
        for place in range(len(ids)):
            yield verdicts.get(place, KEEP)

    def _rank(self, sample_id: int) -> bytes:
        if self.by == "order":
            return b""  # all equal: the place decides
        return hashlib.blake2b(f"{self.seed}:{sample_id}".encode(), digest_size=16).digest()
