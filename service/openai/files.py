"""`/v1/files`: upload, list, read, delete. The two files that a batch writes are found here under ids of their own."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from service.access import CallerDep
from service.acts import Act
from service.api.deps import DatabaseDep, SettingsDep
from service.errors import Conflict, NotFound
from service.models import Run
from service.models.files import File, Purpose
from service.openai import metrics, outputs, uploads
from service.openai.errors import Refused
from service.openai.multipart import Upload
from service.openai.outputs import OutputFile
from service.openai.shapes import FileDeleted, FileObject, Order, Page, PageSize
from service.settings import Settings
from service.spooling import spool_file
from service.store import audit, files, runs
from service.store.database import Database

router = APIRouter(prefix="/files", tags=["OpenAI: files"])

METRICS = "step_metrics.csv"
UPLOADED = (Purpose.BATCH, Purpose.FINE_TUNE)
FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "JSON lines"},
                        "purpose": {"type": "string", "enum": list(UPLOADED)},
                    },
                }
            }
        },
    }
}


@router.post("", response_model=FileObject, openapi_extra=FORM)
async def create(request: Request, database: DatabaseDep, settings: SettingsDep) -> FileObject:
    """Upload a file of JSON lines. Those of a batch are checked here, and refused with their numbers."""
    with uploads.room_needed(), spool_file(settings) as path:
        form = Upload(request.headers.get("content-type", ""), path)
        await form.read(request.stream())
        purpose = _purpose(form.fields)
        if form.filename is None:
            raise Refused("the form holds no file in its field 'file'", param="file", code="missing_required_parameter")
        file = await run_in_threadpool(uploads.keep, database, settings, path, purpose=purpose, filename=form.filename)
    return _shown(file)


def _purpose(fields: dict[str, str]) -> Purpose:
    unknown = sorted(set(fields) - {"purpose"})
    if unknown:
        message = f"unknown field '{unknown[0]}': a file stays until it is deleted, and only its purpose can be said"
        raise Refused(message, param=unknown[0], code="unknown_parameter")
    if fields.get("purpose") not in UPLOADED:
        known = " and ".join(f"'{purpose}'" for purpose in UPLOADED)
        message = f"the purposes taken are {known}, not '{fields.get('purpose', '')}'"
        raise Refused(message, param="purpose", code="invalid_purpose")
    return Purpose(fields["purpose"])


@router.get("", response_model=Page[FileObject])
def list_files(
    database: DatabaseDep,
    settings: SettingsDep,
    purpose: str | None = None,
    after: str | None = None,
    limit: PageSize = 10_000,
    order: Annotated[Order, Query()] = "desc",
) -> Page[FileObject]:
    """List uploaded files. Those that batches write are named by their batches alone."""
    limit = min(limit, settings.page_rows_max)
    with database.read() as session:
        found = files.page(session, purpose=purpose, after=after, limit=limit + 1, descending=order == "desc")
    return Page.of([_shown(file) for file in found], limit)


@router.get("/{file_id}", response_model=FileObject)
def retrieve(file_id: str, database: DatabaseDep, settings: SettingsDep) -> FileObject:
    """Return a file. The size of one that a running batch writes is its size right now."""
    if run_id := metrics.run_of(file_id):
        run = _finished(database, run_id)
        size = len(metrics.content(settings, run))
        made = {"created_at": int(run.finished_at or 0), "filename": METRICS, "purpose": Purpose.FINE_TUNE_RESULTS}
        return FileObject(id=file_id, bytes=size, **made)
    output = outputs.named(file_id)
    if output is None:
        with database.read() as session:
            return _shown(files.get(session, file_id))
    created_at = _made_at(database, output)
    size = sum(map(len, outputs.content(database, output)))
    return FileObject(
        id=file_id, bytes=size, created_at=created_at, filename=output.filename, purpose=Purpose.BATCH_OUTPUT
    )


@router.get("/{file_id}/content", response_class=Response)
def content(file_id: str, database: DatabaseDep, settings: SettingsDep, caller: CallerDep) -> Response:
    """Return the bytes of a file. What a batch writes can be read at any time, up to its last stored answer."""
    if run_id := metrics.run_of(file_id):
        disposition = {"Content-Disposition": f'attachment; filename="{METRICS}"'}
        return Response(metrics.content(settings, _finished(database, run_id)), 200, disposition, "text/csv")
    output = outputs.named(file_id)
    filename, answer = _uploaded(database, settings, file_id) if output is None else _written(database, output)
    with database.write() as session:  # before the first byte: nobody takes anything away unnoticed
        audit.record(session, caller, Act.FILE_DOWNLOADED, file_id, filename=filename)
    return answer


def _uploaded(database: Database, settings: Settings, file_id: str) -> tuple[str, Response]:
    with database.read() as session:
        file = files.get(session, file_id)
    path = uploads.path_of(settings, file.id)
    if not path.exists():
        raise NotFound(f"the bytes of file '{file_id}' are not in this machine's data folder")
    return file.filename, FileResponse(path, media_type="application/octet-stream", filename=file.filename)


def _written(database: Database, output: OutputFile) -> tuple[str, Response]:
    _made_at(database, output)
    disposition = {"Content-Disposition": f'attachment; filename="{output.filename}"'}
    lines = outputs.content(database, output)
    return output.filename, StreamingResponse(lines, 200, disposition, media_type="application/octet-stream")


@router.delete("/{file_id}", response_model=FileDeleted)
def delete(file_id: str, database: DatabaseDep, settings: SettingsDep, caller: CallerDep) -> FileDeleted:
    """Delete a file. An output file is only taken out of sight: the traces that it shows stay."""
    output = outputs.named(file_id)
    if output is not None:
        with database.write() as session:
            files.batch_of(session, file_id, output.batch_id)
            files.delete_output(session, file_id, output.filename)
            audit.record(session, caller, Act.FILE_DELETED, file_id, filename=output.filename)
        return FileDeleted(id=file_id)
    with database.write() as session:
        file = files.get(session, file_id)
        batch_id = files.needed_by(session, file_id)
        if batch_id is not None:
            raise Conflict(f"file '{file_id}' belongs to batch {batch_id}, which is still running; cancel it first")
        if run_id := runs.reading(session, file_id):
            raise Conflict(f"file '{file_id}' is being read for {run_id}; wait until that is queued, or cancel it")
        files.delete(session, file)
        audit.record(session, caller, Act.FILE_DELETED, file_id, filename=file.filename)
    uploads.remove(uploads.path_of(settings, file_id))
    return FileDeleted(id=file_id)


def _finished(database: Database, run_id: str) -> Run:
    with database.read() as session:
        run = runs.student(session, run_id)
    if run is None:
        raise NotFound(f"no training with the id '{run_id}' has ended with a student, so it has no result file")
    return run


def _made_at(database: Database, output: OutputFile) -> int:
    with database.read() as session:
        return int(files.batch_of(session, output.id, output.batch_id).created_at)


def _shown(file: File) -> FileObject:
    return FileObject(
        id=file.id,
        bytes=file.size_bytes,
        created_at=int(file.created_at),
        filename=file.filename,
        purpose=file.purpose,
    )
