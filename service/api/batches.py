"""Batches: submit prompts, watch them, stop them, ask the failed ones again."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from service.api.deps import DatabaseDep, Limit, SettingsDep
from service.api.shapes import BatchOut, SubmitQuery
from service.errors import Problem
from service.store import batches
from service.submission import Order, accept, spool, spool_file
from service.views import batch_out

router = APIRouter(prefix="/api/batches", tags=["batches"])

BODY = {
    "requestBody": {
        "required": True,
        "description": "JSON lines: {prompt | messages, id?, reference?, verifier?, category?, source?, license?}",
        "content": {
            "application/jsonl": {"schema": {"type": "string"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            },
        },
    }
}


@router.post("", response_model=BatchOut, status_code=201, openapi_extra=BODY)
async def submit(
    request: Request,
    response: Response,
    database: DatabaseDep,
    settings: SettingsDep,
    query: Annotated[SubmitQuery, Query()],
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> Any:
    """Submit prompts to be asked of the teachers, n answers each; taken whole, or refused with the bad lines named."""
    sampling = query.model_dump(exclude={"teacher", "n", "set"}, exclude_none=True)
    meta = {"set": query.set} if query.set else {}
    order = Order(list(dict.fromkeys(query.teacher)), query.n, sampling, meta, idempotency_key)
    with spool_file(settings) as path:
        body = await spool(_body(request), path)
        batch, new = await run_in_threadpool(accept, database, settings, order, body)
    response.status_code = 201 if new else 200
    return await run_in_threadpool(_shown, database, batch.id)


async def _body(request: Request) -> AsyncIterator[bytes]:
    if not request.headers.get("content-type", "").startswith("multipart/"):
        async for chunk in request.stream():
            yield chunk
        return
    async with request.form(max_files=1) as form:
        file = form.get("file")
        if file is None or isinstance(file, str):
            raise Problem("the form holds no file in its field 'file'")
        while chunk := await file.read(2**20):
            yield chunk


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


@router.post("/{batch_id}/cancel", response_model=BatchOut)
def cancel(batch_id: str, database: DatabaseDep) -> BatchOut:
    """Stop asking; answers that are stored stay."""
    with database.write() as session:
        batches.cancel(session, batch_id)
    return _shown(database, batch_id)


@router.post("/{batch_id}/retry", response_model=BatchOut)
def retry(batch_id: str, database: DatabaseDep) -> BatchOut:
    """Ask again for the answers of an ended batch that failed or were cancelled."""
    with database.write() as session:
        batches.retry(session, batch_id)
    return _shown(database, batch_id)
