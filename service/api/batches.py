"""Batches: submit prompts, watch them, stop them, ask the failed ones again."""

import hashlib
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from service import removal
from service.access import Admin, CallerDep
from service.api.deps import DatabaseDep, Limit, SettingsDep
from service.api.shapes.batches import BatchOut, Sampling, SubmitOut, SubmitQuery
from service.cancelling import cancel_batch
from service.errors import Problem
from service.formats.columns import parse
from service.formats.detect import Format, by_content, by_content_type, by_name
from service.ingest import FIELDS, JUDGED, NATIVE, NEEDED
from service.openai.multipart import Upload
from service.spooling import Spooled, spool, spool_file
from service.store import batches, pass_rates
from service.submission import Order, accept
from service.views import batch_out

router = APIRouter(prefix="/api/batches", tags=["batches"])

BODY = {
    "requestBody": {
        "required": True,
        "description": (
            "One prompt a row: {prompt | messages, id?, reference?, verifier?, category?, source?, license?, meta?}. "
            "JSON lines; CSV with a header row (`messages` and `meta` as JSON); or Parquet."
        ),
        "content": {
            "application/jsonl": {"schema": {"type": "string"}},
            "text/csv": {"schema": {"type": "string"}},
            "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            },
        },
    }
}


@router.post("", response_model=SubmitOut, status_code=201, openapi_extra=BODY)
async def submit(
    request: Request,
    response: Response,
    database: DatabaseDep,
    settings: SettingsDep,
    query: Annotated[SubmitQuery, Query()],
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> Any:
    """Submit prompts to be asked of the teachers, n answers each; taken whole, or refused with the bad lines named.

    The same body under the same `Idempotency-Key` gives the batch that it made before, with status 200. One whose
    taking in broke off is taken up where it stands; while another request is doing that, the answer is 409 with
    `Retry-After`.
    """
    sampling = query.model_dump(include=set(Sampling.model_fields), exclude_none=True)
    meta = {"set": query.set} if query.set else {}
    goal: dict[str, Any] = {}
    if query.accept_k:
        goal = {"accept_k": query.accept_k, "token_budget": query.token_budget}
    teachers, refuse = list(dict.fromkeys(query.teacher)), query.refuses_ungradable
    columns = parse(query.map, FIELDS, NEEDED) if query.map else None
    with spool_file(settings) as path:
        said, sha256, file = await spool_body(request, path)
        goal["submitted"] = {"file": query.file or file, "sha256": sha256}
        order = Order(teachers, query.tries, sampling, meta, idempotency_key, goal, refuse_ungradable=refuse)
        body = Spooled(path, sha256, by_content(path, said), columns)
        form = JUDGED if query.accept_k else NATIVE
        batch, new = await run_in_threadpool(accept, database, settings, order, body, form)
    response.status_code = 201 if new else 200
    shown = await run_in_threadpool(_shown, database, batch.id)
    return SubmitOut(**shown.model_dump(), new=new)


async def spool_body(request: Request, path: Path) -> tuple[Format | None, str, str]:
    """Write the body to `path`; return what was said of its form, its SHA-256, and the name of a form's file."""
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/"):
        return by_content_type(kind), await spool(request.stream(), path), ""
    form = Upload(kind, path)
    await form.read(request.stream())
    if form.filename is None:
        raise Problem("the form holds no file in its field 'file'")
    return by_name(form.filename), await run_in_threadpool(_sha256, path), form.filename


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shown(database: DatabaseDep, batch_id: str) -> BatchOut:
    with database.read() as session:
        return batch_out(session, batches.get(session, batch_id))


@router.get("")
def list_batches(database: DatabaseDep, limit: Limit, after: str | None = None) -> dict[str, Any]:
    """List batches, newest first; `next` is the `after` of the next page."""
    with database.read() as session:
        found = batches.page(session, after=after, limit=limit)
        data = [batch_out(session, batch) for batch in found]
    return {"data": data, "next": data[-1].id if len(data) == limit else None}


@router.get("/{batch_id}", response_model=BatchOut)
def one(batch_id: str, database: DatabaseDep) -> BatchOut:
    """Return a batch with its counts, the reasons of failures, its speed and the time left."""
    return _shown(database, batch_id)


@router.get("/{batch_id}/pass-rates")
def rates(batch_id: str, database: DatabaseDep, limit: Limit, after: int = 0) -> dict[str, Any]:
    """Return how often each teacher was right about each prompt, where the batch asked for right answers.

    `next` is the `after` of the next page of prompts.
    """
    with database.read() as session:
        batches.get(session, batch_id)
        found = pass_rates.page(session, batch_id, after=after, limit=limit)
    last = found[-1].prompt_id if len({rate.prompt_id for rate in found}) == limit else None
    return {"data": found, "next": last}


@router.delete("/{batch_id}", status_code=204)
def remove(batch_id: str, database: DatabaseDep, admin: Admin) -> None:
    """Delete an ended batch with its prompts and traces. 409 where a version, a batch or a run was made from them."""
    removal.remove_batch(database, batch_id, admin)


@router.post("/{batch_id}/cancel", response_model=BatchOut)
def cancel(batch_id: str, database: DatabaseDep, caller: CallerDep) -> BatchOut:
    """Stop asking; answers that are stored stay."""
    with database.write() as session:
        cancel_batch(session, caller, batch_id)
    return _shown(database, batch_id)


@router.post("/{batch_id}/retry", response_model=BatchOut)
def retry(batch_id: str, database: DatabaseDep) -> BatchOut:
    """Ask again for the answers of an ended batch that failed or were cancelled."""
    with database.write() as session:
        batches.retry(session, batch_id)
    return _shown(database, batch_id)
