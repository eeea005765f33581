"""Imports: traces that were made elsewhere become a completed batch, to be curated and exported like any other."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from service.api.batches import spool_body
from service.api.deps import DatabaseDep, SettingsDep
from service.api.shapes.batches import SubmitOut
from service.api.shapes.imports import ImportQuery
from service.errors import Problem
from service.formats.detect import Format, by_content
from service.importing import Provenance, take_in
from service.imports import SOURCES
from service.imports.source import Source
from service.spooling import Spooled, spool_file
from service.store import batches
from service.views import batch_out

router = APIRouter(prefix="/api/imports", tags=["imports"])

BODY = {
    "requestBody": {
        "required": True,
        "description": "Rows as the tool of `format` wrote them: JSON lines, CSV with a header row, or Parquet.",
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


@router.get("/formats")
def formats() -> dict[str, Any]:
    """List what can be imported, and the fields that columns can be mapped to."""
    return {
        "data": [
            {"format": source.name, "made_by": source.made_by, "fields": sorted(source.fields.get((), ()))}
            for source in SOURCES.values()
        ]
    }


@router.post("", response_model=SubmitOut, status_code=201, openapi_extra=BODY)
async def take(
    request: Request,
    response: Response,
    database: DatabaseDep,
    settings: SettingsDep,
    query: Annotated[ImportQuery, Query()],
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> Any:
    """Import traces: prompts with the answers they got; taken whole, or refused with the bad rows named.

    Reasoning is told from the response as it is in a teacher's own reply. The same body under the same
    `Idempotency-Key` gives the batch that it made before (200), or goes on with one whose taking in broke off.
    """
    source = SOURCES[query.format]
    if query.map and source.columns is None:
        raise Problem(f"map: rows of '{source.name}' have one shape; leave it out")
    columns = source.columns(query.map) if source.columns else None
    of = Provenance(
        query.teacher, query.known_license, query.model, prompts_license=query.prompts_license, file=query.file
    )
    with spool_file(settings) as path:
        said, sha256, _ = await spool_body(request, path)
        body = Spooled(path, sha256, _checked(by_content(path, said), source), columns)
        batch, new = await run_in_threadpool(take_in, database, settings, source, body, of, idempotency_key)
    response.status_code = 201 if new else 200
    shown = await run_in_threadpool(_shown, database, batch.id)
    return SubmitOut(**shown, new=new)


def _checked(form: Format, source: Source) -> Format:
    if form not in source.forms:
        raise Problem(f"'{source.name}' comes as {' or '.join(sorted(source.forms))}; the body is {form}")
    return form


def _shown(database: DatabaseDep, batch_id: str) -> dict[str, Any]:
    with database.read() as session:
        return batch_out(session, batches.get(session, batch_id)).model_dump()
