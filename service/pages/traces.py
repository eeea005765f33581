"""Traces: looking for them, and one with everything that is known of it."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from service import origins
from service.access import CallerDep
from service.api.deps import After, DatabaseDep
from service.api.shapes.traces import TraceDetail, VerdictOut
from service.errors import NotFound
from service.models import DatasetVersion
from service.pages.diff import Stretch, diff
from service.pages.excerpts import excerpts
from service.pages.rendering import page
from service.pages.reviewing import author
from service.pages.words import largest, message_text
from service.store import batches, datasets, facets, reviews, search, stats, teachers, traces
from service.store.database import Database
from service.store.traces import TraceFilter, said
from service.views import trace_detail, trace_out, traces_out

router = APIRouter(include_in_schema=False)

PAGE_ROWS = 20
ANSWERS_SHOWN = 24
"""Of one prompt, side by side."""
CHOICES_MAX = 50
"""Newest batches and versions to choose from; older ones are reached from their own pages."""


@dataclass(frozen=True, slots=True)
class Twin:
    """The trace that a near-duplicate matched, and how the two differ: a heading and stretches for each part."""

    id: int
    similarity: float | None
    parts: list[tuple[str, list[Stretch]]]


@router.get("/traces")
def listed(
    database: DatabaseDep,
    asked: Annotated[TraceFilter, Depends()],
    after: After = 0,
    before: Annotated[int | None, Query(ge=0, le=2**62)] = None,
) -> Response:
    """List traces that fit the facets, in the order in which they were stored."""
    wanted = said(asked)
    left_out = search.caught_up(database) if wanted.q else 0
    with database.read() as session:
        shown = traces_out(session, traces.page(session, wanted, after=after, before=before, limit=PAGE_ROWS + 1))
        stored = {name: sums["stored"] for name, sums in stats.answers_by_teacher(session).items()}
        newest = batches.page(session, after=None, limit=CHOICES_MAX)
        choices = {
            "batches": newest,
            "of_batch": batches.stored_of(session, [batch.id for batch in newest]),
            "teachers": [(teacher.name, stored.get(teacher.name, 0)) for teacher in teachers.every(session)],
            "categories": facets.categories(session),
            "versions": facets.versions(session, limit=CHOICES_MAX),
            "tags": reviews.tag_counts(session),
        }
        judged = [datasets.named(session, wanted.version)] if wanted.version else choices["versions"]
    # One more than a page was asked for: it tells whether the way leads on.
    more = len(shown) > PAGE_ROWS
    shown = shown[-PAGE_ROWS:] if before is not None else shown[:PAGE_ROWS]
    first, last = (shown[0].id, shown[-1].id) if shown else (None, None)
    edges = {
        "previous": first if (more if before is not None else after > 0) else None,
        "following": last if more or before is not None else None,
    }
    terms = search.read(wanted.q or "")
    values = {"traces": shown, "wanted": _every_field(wanted), "moved": bool(after or before is not None)}
    values["left_out"] = left_out
    values["excerpts"] = {trace.id: excerpts(trace, terms) for trace in shown}
    return page("traces.html", **values, **edges, **choices, reasons=_reasons(judged))


def _every_field(wanted: TraceFilter) -> dict[str, str | None]:
    return {name: getattr(wanted, name) for name in TraceFilter.__dataclass_fields__}


def _reasons(versions: list[DatasetVersion]) -> list[tuple[str, int]]:
    """Return how often each reason was given in the versions, read from their funnels."""
    counts: dict[str, int] = {}
    for version in versions:
        for line in version.funnel:
            for reason, count in line["reasons"].items():
                counts[reason] = counts.get(reason, 0) + count
    return largest(counts)


@router.get("/traces/{trace_id}")
def one(
    trace_id: int,
    request: Request,
    database: DatabaseDep,
    caller: CallerDep,
    asked: Annotated[TraceFilter, Depends()],
    shown: Annotated[Literal["text", ""], Query(alias="as")] = "",
) -> Response:
    """Show one trace whole; what the query says leads on to the next of those looked for."""
    with database.read() as session:
        trace = trace_detail(session, trace_id)
        standing = reviews.standing_reviews(reviews.of_trace(session, trace_id))
        answers = traces.answers_count(session, trace.prompt_id)
        origin = origins.of(session, trace_id, parents=0)
    twins = [_twin(database, trace, verdict) for verdict in trace.verdicts]
    values = {"trace": trace, "judged": list(zip(trace.verdicts, twins, strict=True)), "answers": answers}
    values |= {"origin": origin, "author": author(request, caller), "last": standing[-1] if standing else None}
    return page("trace.html", **values, wanted=said(asked).asked(), as_text=shown == "text")


@router.get("/prompts/{prompt_id}")
def answers(prompt_id: int, database: DatabaseDep) -> Response:
    """Show the answers of all teachers to one prompt, side by side."""
    with database.read() as session:
        shown = traces_out(session, traces.answers(session, prompt_id, limit=ANSWERS_SHOWN))
        count = traces.answers_count(session, prompt_id)
    return page("prompt.html", traces=shown, asked=shown[0], count=count)


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
