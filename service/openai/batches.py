"""`/v1/batches`: the lines of an uploaded file become the prompts of a batch like any other."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query

from service.access import CallerDep
from service.api.deps import DatabaseDep, SettingsDep
from service.cancelling import cancel_batch
from service.errors import NotFound
from service.models import Batch, BatchState
from service.models.files import Purpose
from service.openai import outputs, uploads
from service.openai.errors import Refused
from service.openai.lines import form
from service.openai.outputs import OutputFile
from service.openai.shapes import (
    BatchError,
    BatchErrors,
    BatchIn,
    BatchObject,
    OutputTokens,
    Page,
    RequestCounts,
    Usage,
)
from service.openai.words import ENDPOINT
from service.spooling import Spooled
from service.store import batches, completions, files
from service.store.database import Database
from service.submission import Order, accept

router = APIRouter(prefix="/batches", tags=["OpenAI: batches"])

HOURS_MAX = 90 * 24
"""Longest completion window: whoever waits longer asks again."""
UNIT_S = {"h": 3600, "d": 86_400}


@router.post("", response_model=BatchObject)
def create(
    body: BatchIn,
    database: DatabaseDep,
    settings: SettingsDep,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> BatchObject:
    """Start a batch. The same file content under the same `Idempotency-Key` gives the batch that it started before.

    Where the last batch of the same content was cancelled or expired, this one takes over its answers and asks for what
    is missing; with `"retort": {"resume": false}` it asks for everything anew.
    """
    if body.endpoint != ENDPOINT:
        message = f"a batch can call {ENDPOINT} alone, not '{body.endpoint}'"
        raise Refused(message, param="endpoint", code="invalid_value")
    window_s = _window_s(body.completion_window)
    with database.read() as session:
        try:
            file = files.get(session, body.input_file_id)
        except NotFound as missing:
            raise Refused(missing.detail, param="input_file_id", code="invalid_value") from missing
        earlier = files.broken_off(session, file) if body.retort.resume else None
    if file.purpose != Purpose.BATCH:
        message = f"file '{file.id}' was uploaded for '{file.purpose}'; upload it with the purpose 'batch'"
        raise Refused(message, param="input_file_id", code="invalid_purpose")
    origin = {
        "input_file_id": file.id,
        "completion_window": body.completion_window,
        "expires_at": time.time() + window_s,
        "continues": earlier.id if earlier else None,
    }
    refuse = body.retort.ungradable == "refuse"
    order = Order(file.teachers, 1, {}, body.metadata or {}, idempotency_key, origin, refuse_ungradable=refuse)
    spooled = Spooled(uploads.path_of(settings, file.id), file.sha256)
    try:
        batch, _ = accept(database, settings, order, spooled, form(file.teachers))
    except FileNotFoundError as error:
        message = f"the bytes of file '{file.id}' are not in this machine's data folder"
        raise Refused(message, param="input_file_id") from error
    return _shown(database, batch.id)


@router.get("", response_model=Page[BatchObject])
def list_batches(
    database: DatabaseDep, after: str | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> Page[BatchObject]:
    """List the batches of this door, newest first."""
    completions.expire_due(database)
    with database.read() as session:
        edge = _get(session, after) if after else None
        found = files.openai_batches(session, after=edge, limit=limit + 1)
        return Page.of([_object(session, batch) for batch in found], limit)


@router.get("/{batch_id}", response_model=BatchObject)
def retrieve(batch_id: str, database: DatabaseDep) -> BatchObject:
    """Return a batch with the counts of its lines. Its files can be read before it has ended."""
    completions.expire_due(database)
    return _shown(database, batch_id)


@router.post("/{batch_id}/cancel", response_model=BatchObject)
def cancel(batch_id: str, database: DatabaseDep, caller: CallerDep) -> BatchObject:
    """Stop asking, at once; what is stored stays, and what is not stands in the error file as `batch_cancelled`."""
    completions.expire_due(database)
    with database.write() as session:
        # Asked twice, by a client that did not hear the first answer, it is the same cancellation.
        if _get(session, batch_id).state != BatchState.CANCELLED:
            cancel_batch(session, caller, batch_id)
    return _shown(database, batch_id)


def _window_s(window: str) -> float:
    seconds = int(window[:-1]) * UNIT_S[window[-1]]
    if seconds > HOURS_MAX * 3600:
        raise Refused(f"at most {HOURS_MAX // 24}d", param="completion_window", code="invalid_value")
    return float(seconds)


def _shown(database: Database, batch_id: str) -> BatchObject:
    with database.read() as session:
        return _object(session, _get(session, batch_id))


def _get(session: Any, batch_id: str) -> Batch:
    batch = batches.get(session, batch_id)
    if batch.input_file_id is None:
        raise NotFound(f"batch '{batch_id}' was not made of an uploaded file; it is at /api/batches/{batch_id}")
    return batch


def _object(session: Any, batch: Batch) -> BatchObject:
    found = batches.counts(session, batch)
    completed, failed = files.line_counts(session, batch, found)
    output, errors = (OutputFile(batch.id, kind).id for kind in outputs.KINDS)
    opened = batch.state not in (BatchState.VALIDATING, BatchState.FAILED)
    values = batch.model_dump(include={"id", "input_file_id", "completion_window"}) | {
        "model": batch.teachers[0] if len(batch.teachers) == 1 else None,
        "status": batch.state,
        "errors": _errors(batch),
        "output_file_id": output if opened else None,
        # As at OpenAI there is one only where something went wrong: clients take its id for the sign of that.
        "error_file_id": errors if opened and (failed or found["cancelled"]) else None,
        "request_counts": RequestCounts(total=batch.prompts, completed=completed, failed=failed),
        "usage": _usage(found),
        "retort": _retort(batch),
        "metadata": batch.meta or None,
    }
    return BatchObject.model_validate(values | _times(batch))


def _retort(batch: Batch) -> dict[str, Any] | None:
    """Return what OpenAI has no field for; None where there is nothing to say."""
    found: dict[str, Any] = {"continues": batch.continues} if batch.continues else {}
    if batch.ungradable:
        found |= {"ungradable": batch.ungradable, "ungradable_first": batch.ungradable_first}
    return found or None


def _usage(found: dict[str, int]) -> Usage | None:
    """Return the tokens that the teachers counted so far; None before the first answer, or where they count none."""
    if not found["prompt_tokens"] and not found["completion_tokens"]:
        return None
    return Usage(
        input_tokens=found["prompt_tokens"],
        output_tokens=found["completion_tokens"],
        output_tokens_details=OutputTokens(reasoning_tokens=found["reasoning_tokens"]),
        total_tokens=found["prompt_tokens"] + found["completion_tokens"],
    )


def _times(batch: Batch) -> dict[str, int | None]:
    """Return one time for each state. Files need no finalizing here: it ends at the moment it begins."""
    ended = {
        BatchState.COMPLETED: ("finalizing_at", "completed_at"),
        BatchState.EXPIRED: ("finalizing_at", "expired_at"),
        BatchState.CANCELLED: ("cancelling_at", "cancelled_at"),
        BatchState.FAILED: ("failed_at",),
    }
    times = dict.fromkeys((name for names in ended.values() for name in names), None)
    times |= dict.fromkeys(ended.get(batch.state, ()), batch.finished_at)
    times |= {"created_at": batch.created_at, "in_progress_at": batch.in_progress_at, "expires_at": batch.expires_at}
    return {name: None if at is None else int(at) for name, at in times.items()}


def _errors(batch: Batch) -> BatchErrors | None:
    if batch.state != BatchState.FAILED:
        return None
    return BatchErrors(data=[BatchError(code=batch.reason or "failed", message=batch.detail or batch.reason)])
