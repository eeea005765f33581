"""What people said of traces, laid over what the filters say."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from filters.manifest import FilterCount
from filters.sample import Sample
from filters.stages import Judged
from filters.verdict import Outcome
from service.models import Review
from service.store.curation import PERSON
from service.store.ledger import LedgerPage


class Reviews:
    """The newest review of each trace. A person's word is the last: no filter overrules it."""

    def __init__(self, newest: Mapping[int, Review]) -> None:
        self._newest = newest
        self._edits = {key: review.response for key, review in newest.items() if review.response is not None}
        self._rejected = 0

    def __contains__(self, trace_id: int) -> bool:
        return trace_id in self._newest

    @property
    def overrule(self) -> bool:
        """Whether anybody keeps what a filter may reject: the filters behind it never saw that sample."""
        return any(review.outcome == Outcome.KEEP for review in self._newest.values())

    def edited(self, sample: Sample) -> Sample:
        """Return the sample with the response as a person edited it."""
        return replace(sample, response=self._edits[sample.id]) if sample.id in self._edits else sample

    def edited_page(self, page: LedgerPage) -> LedgerPage:
        """Return the page of the ledger with responses as they were judged."""
        if self._edits.keys().isdisjoint(page.columns["id"]):
            return page
        read = zip(page.columns["id"], page.columns["response"], strict=True)
        return page.with_column("response", [self._edits.get(trace_id, text) for trace_id, text in read])

    def as_written(self, ids: Sequence[int]) -> list[int]:
        """Return those of some traces whose response nobody edited: soft labels are of the text before."""
        return [trace_id for trace_id in ids if trace_id not in self._edits]

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
