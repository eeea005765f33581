"""What people said of traces, laid over what the filters say."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from filters.manifest import FilterCount
from filters.sample import Sample
from filters.stages import Judged
from filters.verdict import Outcome
from service.models import Review
from service.store.curation import PERSON, Entry


class Reviews:
    """The newest review of each trace. A person's word is the last: no filter overrules it."""

    def __init__(self, newest: Mapping[int, Review]) -> None:
        self._newest = newest
        self._rejected = 0

    def __contains__(self, trace_id: int) -> bool:
        return trace_id in self._newest

    @property
    def overrule(self) -> bool:
        """Whether anybody keeps what a filter may reject: the filters behind it never saw that sample."""
        return any(review.outcome == Outcome.KEEP for review in self._newest.values())

    def edited(self, sample: Sample) -> Sample:
        """Return the sample with the response as a person edited it."""
        review = self._newest.get(sample.id)
        return sample if review is None or review.response is None else replace(sample, response=review.response)

    def edited_entry(self, entry: Entry) -> Entry:
        """Return the row of the ledger with the response as it was judged."""
        sample = self.edited(entry.sample)
        return entry if sample is entry.sample else replace(entry, sample=sample)

    def rejection(self, sample: Sample) -> dict[str, Any] | None:
        """Return the ledger's columns where a person rejected the sample: it does not reach the filters then."""
        review = self._newest.get(sample.id)
        if review is None or review.outcome != Outcome.REJECT:
            return None
        self._rejected += 1
        return {
            "outcome": Outcome.REJECT.value,
            "filter": PERSON,
            "reason": PERSON,
            "detail": f"{review.author}: {review.reason}" if review.reason else review.author,
        }

    def overruled(self, judged: Judged) -> tuple[Judged, dict[str, Any]]:
        """Return the judgement as a person changed it, with the ledger's columns that tell of it."""
        review = self._newest.get(judged.sample.id)
        if review is None or review.outcome != Outcome.KEEP or judged.outcome is Outcome.KEEP:
            return judged, {}
        verdict = judged.verdict
        columns = {
            "filter": PERSON,
            "detail": f"{review.author} kept what {judged.kind} rejected as {verdict.reason}",
            "evidence": {"overruled": judged.kind, "reason": verdict.reason, "detail": verdict.detail},
        }
        return replace(judged, outcome=Outcome.KEEP, index=None, kind="", version=0), columns

    def funnel(self, lines: list[FilterCount], total: int) -> list[FilterCount]:
        """Return the funnel with the people before the filters, where they rejected anything."""
        if not self._rejected:
            return lines
        line = FilterCount(
            kind=PERSON,
            version=1,
            knobs={},
            input=total,
            kept=total - self._rejected,
            rejected=self._rejected,
            abstained=0,
            reasons={PERSON: self._rejected},
        )
        return [line, *lines]
