"""Soft labels: read those of a trace; add them to the traces of a batch."""

from typing import Annotated

from fastapi import APIRouter, Query

from service import label_view
from service.api.deps import DatabaseDep, SettingsDep
from service.api.shapes.labels import BatchLabels, LabelsIn, TraceLabels
from service.store import batches, rescoring
from service.store.database import Database

router = APIRouter(prefix="/api", tags=["soft labels"])


@router.get("/traces/{trace_id}/soft-labels", response_model=TraceLabels)
def of_trace(
    trace_id: int,
    database: DatabaseDep,
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
) -> TraceLabels:
    """Return a trace's soft labels token by token; `next` is the `offset` of the next page.

    404 where there are none, with the reason if one is known.
    """
    with database.read() as session:
        return label_view.of_trace(session, trace_id, offset=offset, limit=limit)


@router.get("/batches/{batch_id}/soft-labels", response_model=BatchLabels)
def of_batch(batch_id: str, database: DatabaseDep) -> BatchLabels:
    """Return how many answers of a batch have soft labels, why others have none, and what is still to come."""
    return _shown(database, batch_id)


@router.post("/batches/{batch_id}/soft-labels", response_model=BatchLabels, status_code=202)
def add(batch_id: str, body: LabelsIn, database: DatabaseDep, settings: SettingsDep) -> BatchLabels:
    """Have the traces of an ended batch that have no soft labels scored by their teacher (vLLM's `prompt_logprobs`).

    What could not be scored before is tried again. 409 while the batch or an earlier order is under way.
    """
    options = {"k": body.top_logprobs, "teacher": body.teacher, "shard_prompts": settings.shard_prompts}
    with database.write() as session:
        rescoring.order(session, batch_id, **options)
        tokens = rescoring.tokens(session, batch_id)
    shown = _shown(database, batch_id)
    shown.estimate = label_view.estimate(body.top_logprobs, shown.pending, tokens)
    return shown


@router.post("/batches/{batch_id}/soft-labels/cancel", response_model=BatchLabels)
def cancel(batch_id: str, database: DatabaseDep) -> BatchLabels:
    """Score no further; soft labels that are stored stay."""
    with database.write() as session:
        rescoring.cancel(session, batch_id)
    return _shown(database, batch_id)


def _shown(database: Database, batch_id: str) -> BatchLabels:
    with database.read() as session:
        batch = batches.get(session, batch_id)
        found = label_view.of_batch(session, batch, batches.counts(session, batch))
    return found or BatchLabels()
