"""Traces: search, read, and say what a person thinks."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from service.access import CallerDep
from service.api.deps import After, DatabaseDep, Limit
from service.api.shapes.traces import ReviewIn, TraceDetail, WhyOut
from service.reviewing import note
from service.store import search, traces
from service.store.traces import TraceFilter
from service.views import trace_detail, traces_out
from service.why import why

router = APIRouter(prefix="/api/traces", tags=["traces"])


@router.get("")
def list_traces(
    database: DatabaseDep, wanted: Annotated[TraceFilter, Depends()], limit: Limit, after: After = 0
) -> dict[str, Any]:
    """List traces in the order they were stored; `next` is the `after` of the next page.

    `q` finds words in prompt, response and reasoning: all of them, `"a phrase"` just so, `-word` not; `deriv*` is the
    beginning of a word. Signs separate words and mean nothing else.
    """
    if wanted.q:
        search.caught_up(database)
    with database.read() as session:
        data = traces_out(session, traces.page(session, wanted, after=after, limit=limit))
    return {"data": data, "next": data[-1].id if len(data) == limit else None}


@router.get("/{trace_id}", response_model=TraceDetail)
def one(trace_id: int, database: DatabaseDep) -> TraceDetail:
    """Return one trace with every verdict, every review and the teacher's own JSON."""
    with database.read() as session:
        return trace_detail(session, trace_id)


@router.get("/{trace_id}/why", response_model=WhyOut)
def why_(trace_id: int, database: DatabaseDep, version: str | None = None) -> WhyOut:
    """Say what each filter of a dataset version (NAME@N, else the newest that judged it) made of a trace."""
    with database.read() as session:
        return why(session, trace_id, version)


@router.patch("/{trace_id}", response_model=TraceDetail)
def review(trace_id: int, body: ReviewIn, database: DatabaseDep, caller: CallerDep) -> TraceDetail:
    """Keep, reject, edit or tag a trace by hand, with a name, or take the last of that back.

    The next curation follows it; everything that was said before stays on record.
    """
    note(database, caller, trace_id, body)
    with database.read() as session:
        return trace_detail(session, trace_id)
