"""Traces: what the teachers answered, and what filters and people made of it."""

from collections.abc import Iterator
from typing import Literal, TypedDict, Unpack

from service.api.shapes.labels import TraceLabels
from service.api.shapes.traces import TraceDetail, TraceOut, WhyOut
from service.client.paths import Page
from service.connection import Connection, given


class TraceQuery(TypedDict, total=False):
    """Which traces; a field left out, or None, means anything."""

    batch: str | None
    teacher: str | None
    category: str | None
    outcome: str | None
    reason: str | None
    version: str | None
    """`NAME@N` whose verdicts are meant; the newest on each trace where it is left out."""
    q: str | None
    """Text in response or reasoning."""
    after: int | str | None
    limit: int | None


class ReviewOptions(TypedDict, total=False):
    """What else is said, as in `ReviewIn`."""

    reason: str | None
    response: str | None
    """As edited."""
    tags: list[str] | None
    """All that the trace is to have."""
    withdraws: int | None
    """The id of the last review, which is taken back."""


class Traces(Connection):
    """Finding, reading and reviewing traces."""

    def traces(self, **query: Unpack[TraceQuery]) -> Page[TraceOut]:
        """Return one page: `batch`, `teacher`, `category`, `outcome`, `reason`, `version`, `q`, `after`, `limit`."""
        return self._get(Page[TraceOut], "/api/traces", **query)

    def each_trace(self, **query: Unpack[TraceQuery]) -> Iterator[TraceOut]:
        """Yield every trace that fits, fetching page after page as they are read."""
        while True:
            page = self.traces(**query)
            yield from page.data
            if page.next is None:
                return
            query["after"] = page.next

    def trace(self, trace_id: int) -> TraceDetail:
        """Return one trace with its verdicts, reviews and the teacher's own message."""
        return self._get(TraceDetail, f"/api/traces/{trace_id}")

    def why(self, trace_id: int, version: str | None = None) -> WhyOut:
        """Return what each filter of a version (NAME@N; else the newest that judged it) made of a trace."""
        return self._get(WhyOut, f"/api/traces/{trace_id}/why", version=version)

    def review(
        self, trace_id: int, outcome: Literal["keep", "reject"] | None, author: str, **more: Unpack[ReviewOptions]
    ) -> TraceDetail:
        """Note what a person says: keep, reject, or None beside `tags` or `withdraws`."""
        body = given({"outcome": outcome, "author": author, **more})
        return self._send(TraceDetail, "PATCH", f"/api/traces/{trace_id}", json=body)

    def trace_labels(self, trace_id: int, *, offset: int = 0, limit: int | None = None) -> TraceLabels:
        """Return a page of a trace's soft labels, from token `offset`; `next` is where the following page begins."""
        return self._get(TraceLabels, f"/api/traces/{trace_id}/soft-labels", offset=offset, limit=limit)
