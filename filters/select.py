"""Filter `select`: keep K of N, by chance, order, length, difficulty or difference; balanced and capped."""

from collections.abc import Iterable, Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from filters.base import Filter
from filters.sample import Sample
from filters.verdict import Verdict

By = Literal["random", "order", "shortest", "longest", "hardest", "easiest", "diversity"]


class Select(Filter):
    """Keep at most `count` samples and at most `per_prompt` of each prompt; the same ones whatever the order read.

    With `by: random` and nothing else this is the equal-size control against which any other filter can be measured.
    """

    version: ClassVar[int] = 2
    alone: ClassVar[bool] = False
    kind: Literal["select"] = "select"
    count: PositiveInt | None = None
    """How many samples to keep in all; none means no limit."""
    per_prompt: PositiveInt | None = None
    """A prompt with many right answers should not outweigh the others."""
    by: By = "random"
    """Which come first. `order` favours whatever was asked first; `hardest` the prompts whose answers the filters
    before this one rejected most; `diversity` one of each kind of prompt before a second of any."""
    balance: bool = False
    """Take from each category in turn, so that `count` is spread over all of them as evenly as they allow."""
    pass_rate_max: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Prompts of which a greater share of answers came this far teach little: every model knows them."""
    seed: int = 0
    """Another seed draws another sample; the draw depends on this and the trace's id alone."""

    @property
    def reads_texts(self) -> bool:
        """Only where their length decides."""
        return self.by in ("shortest", "longest")

    def judge(self, samples: Iterable[Sample]) -> Iterator[Verdict]:
        """Read all samples, 150 bytes of each at most (measured at 200,000), then yield the verdicts in order."""
        from filters.selection import judge

        return judge(self, samples)
