"""Benchmarks: test questions that no dataset may hold. The filter `contamination` names them."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from service import benchmarks
from service.api.batches import spool_body
from service.api.deps import DatabaseDep, SettingsDep
from service.api.shapes.base import NAME
from service.api.shapes.teachers import BenchmarkAdded, BenchmarkOut
from service.formats.detect import by_content
from service.spooling import Spooled, spool_file
from service.store import benchmarks as store

router = APIRouter(prefix="/api/benchmarks", tags=["benchmarks"])

BODY = {
    "requestBody": {
        "required": True,
        "description": "JSON lines, CSV with a header row, or Parquet; only the columns that `column` names are read.",
        "content": {
            "application/jsonl": {"schema": {"type": "string"}},
            "text/csv": {"schema": {"type": "string"}},
            "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.post("", response_model=BenchmarkAdded, status_code=201, openapi_extra=BODY)
async def add(
    request: Request,
    response: Response,
    database: DatabaseDep,
    settings: SettingsDep,
    name: Annotated[str, Query(pattern=NAME)],
    column: Annotated[list[str], Query(min_length=1, max_length=20)],
) -> BenchmarkAdded:
    """Add a file of test questions under a name; `column` says where the text is, several are compared as one.

    The same texts under the same name give what is there (200); other texts under it are refused (409).
    """
    with spool_file(settings) as path:
        said, sha256, _ = await spool_body(request, path)
        body = Spooled(path, sha256, by_content(path, said))
        columns = list(dict.fromkeys(column))
        found, new = await run_in_threadpool(benchmarks.add, database, settings, name, columns, body)
    response.status_code = 201 if new else 200
    return BenchmarkAdded.model_validate(found.model_dump() | {"new": new})


@router.get("")
def list_benchmarks(database: DatabaseDep) -> dict[str, list[BenchmarkOut]]:
    """List the benchmarks by name."""
    with database.read() as session:
        return {"data": [BenchmarkOut.model_validate(found) for found in store.every(session)]}
