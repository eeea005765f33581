"""What every filter is: its own configuration, and a judgement of samples."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict

from filters.sample import Sample
from filters.verdict import Verdict


class Filter(BaseModel):
    """A filter is its knobs. A subclass adds `kind: Literal[...]` and either `check` or `judge`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    version: ClassVar[int] = 1
    """Raised whenever the same knobs could give another verdict; part of every ledger row and manifest."""

    alone: ClassVar[bool] = True
    """Whether a verdict depends on nothing but the sample and the knobs, so that it stands whatever else is judged."""

    @property
    def reads_texts(self) -> bool:
        """Whether it looks at response or reasoning; where no filter left to ask does, they are not even read."""
        return True

    def with_files(self, folder: Path) -> Self:
        """Return the filter reading the files that its knobs name from this folder; most name none."""
        return self

    def check(self, sample: Sample) -> Verdict:
        """Judge one sample by itself."""
        raise NotImplementedError(f"{type(self).__name__} judges samples together: call judge()")

    def judge(self, samples: Iterable[Sample]) -> Iterator[Verdict]:
        """Yield one verdict for each sample, in order.

        Filters that look at several samples (duplicates, selection) or work in bulk override this; they may read ahead,
        yet must yield exactly as many verdicts as they read samples.
        """
        return map(self.check, samples)
