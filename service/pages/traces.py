"""Traces: looking for them, and one with everything that is known of it."""

from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from service.api.deps import After, DatabaseDep
from service.api.shapes.traces import TraceDetail, VerdictOut
from service.errors import NotFound
from service.models import DatasetVersion
from service.pages.diff import Stretch, diff
from service.pages.rendering import page
from service.pages.words import largest, message_text
from service.store import batches, datasets, facets, teachers, traces
from service.store.database import Database
from service.store.traces import TraceFilter
from service.views import trace_detail, trace_out

router = APIRouter(prefix="/traces", include_in_schema=False)

PAGE_ROWS = 20
CHOICES_MAX = 50
"""Newest batches and versions to choose from; older ones are reached from their own pages."""


@dataclass(frozen=True, slots=True)
class Twin:
    """The trace that a near-duplicate matched, and how the two differ: a heading and stretches for each part."""

    id: int
    similarity: float | None
    parts: list[tuple[str, list[Stretch]]]


@router.get("")
def listed(database: DatabaseDep, asked: Annotated[TraceFilter, Depends()], after: After = 0) -> Response:
    """List traces that fit the facets, in the order in which they were stored."""
    # A form sends every field, empty ones too.
    wanted = replace(asked, **{name: value or None for name, value in asdict(asked).items()})
    with database.read() as session:
        rows = traces.page(session, wanted, after=after, limit=PAGE_ROWS)
        choices = {
            "batches": batches.page(session, after=None, limit=CHOICES_MAX),
            "teachers": [teacher.name for teacher in teachers.every(session)],
            "categories": facets.categories(session),
            "versions": facets.versions(session, limit=CHOICES_MAX),
        }
        judged = [datasets.named(session, wanted.version)] if wanted.version else choices["versions"]
    shown = [trace_out(*row) for row in rows]
    following = shown[-1].id if len(shown) == PAGE_ROWS else None
    values = {"traces": shown, "wanted": asdict(wanted), "after": after, "following": following}
    return page("traces.html", **values, **choices, reasons=_reasons(judged))


def _reasons(versions: list[DatasetVersion]) -> list[tuple[str, int]]:
    """Return how often each reason was given in the versions, read from their funnels."""
    counts: dict[str, int] = {}
    for version in versions:
        for line in version.funnel:
            for reason, count in line["reasons"].items():
                counts[reason] = counts.get(reason, 0) + count
    return largest(counts)


@router.get("/{trace_id}")
def one(trace_id: int, database: DatabaseDep) -> Response:
    """Show one trace whole."""
    with database.read() as session:
        trace = trace_detail(session, trace_id)
    twins = [_twin(database, trace, verdict) for verdict in trace.verdicts]
    return page("trace.html", trace=trace, judged=list(zip(trace.verdicts, twins, strict=True)))


def _twin(database: Database, trace: TraceDetail, verdict: VerdictOut) -> Twin | None:
    evidence: dict[str, Any] = verdict.evidence or {}
    twin_id = evidence.get("twin")
    if not isinstance(twin_id, int):
        return None
    similarity = evidence.get("similarity")
    try:
        with database.read() as session:
            twin = trace_out(*traces.get(session, twin_id), None)
    except NotFound:
        return Twin(twin_id, similarity, [])
    pairs = [("reasoning", twin.reasoning, trace.reasoning), ("response", twin.response, trace.response)]
    if evidence.get("on") == "prompt":
        pairs = [("prompt", _text(twin.messages), _text(trace.messages))]
    return Twin(twin_id, similarity, [(name, diff(one, other)) for name, one, other in pairs if one or other])


def _text(messages: list[dict[str, Any]]) -> str:
    return "\n\n".join(map(message_text, messages))
