"""Filter `verified`: is the response right, measured against its reference?"""

import difflib
from collections.abc import Iterable, Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from filters.base import Filter
from filters.sample import Sample
from filters.verdict import Verdict, abstain
from filters.verifiers import VERIFIERS


def _nearest(name: str) -> str:
    return difflib.get_close_matches(name, VERIFIERS, n=1, cutoff=0)[0]


def _known(name: str) -> str:
    if name not in VERIFIERS:
        raise ValueError(f"no verifier {name!r}; did you mean {_nearest(name)!r}?")
    return name


VerifierName = Annotated[
    str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": sorted(VERIFIERS), "default": "math"})
]


class Verified(Filter):
    """Reject wrong responses; abstain where there is no reference, or nothing to compare with.

    How many processes share the work is no knob: it changes no verdict, so it does not belong to a recipe.
    """

    version: ClassVar[int] = 2
    kind: Literal["verified"] = "verified"
    default_verifier: VerifierName = "math"
    """Used where the prompt names none."""
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 5.0
    """For one answer. Honest answers take milliseconds, one in a hundred a tenth of a second; hostile ones for ever."""

    def check(self, sample: Sample) -> Verdict:
        """Judge one sample. Starting a process for it may take a second: judge many samples by `judge`."""
        return next(self.judge([sample]))

    def judge(self, samples: Iterable[Sample]) -> Iterator[Verdict]:
        """Judge in a pool of killable processes, reading ahead of the verdicts by a bounded number of samples."""
        from filters.verifiers.pool import Pool

        with Pool(timeout_s=self.timeout_s) as pool:
            yield from pool.verify_many(map(self.item, samples))

    def item(self, sample: Sample) -> tuple[str, str, str] | Verdict:
        """Return what the pool is to judge, or the verdict where there is nothing to judge."""
        name = sample.verifier or self.default_verifier
        if name not in VERIFIERS:
            nearest = _nearest(name)
            return abstain("unknown_verifier", f"no verifier {name!r}; did you mean {nearest!r}?", verifier=name[:100])
        if sample.reference is None or not sample.reference.strip():
            return abstain("no_reference", "the prompt came without a reference")
        return name, sample.response, sample.reference
