"""Datasets: curate a version, read its ledger, take it away."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import FileResponse, PlainTextResponse, StreamingResponse

from service import curation, download, removal
from service.access import Admin, CallerDep
from service.acts import Act
from service.api.deps import After, DatabaseDep, Limit, SettingsDep
from service.api.shapes.datasets import ControlIn, RebuildOut, VersionIn, VersionOut
from service.api.shapes.exports import DownloadQuery
from service.errors import Conflict, NotFound
from service.exports import FORMATS, PARQUET
from service.exports.sealed import Sealed
from service.models import Job, VersionState
from service.ranges import ranged
from service.settings import Settings
from service.store import audit, datasets
from service.store.database import Database
from service.training import refuse_blocked
from service.views import ledger_row, version_out

router = APIRouter(prefix="/api/datasets", tags=["datasets"])


@router.post("", response_model=VersionOut, status_code=202)
def create(body: VersionIn, database: DatabaseDep, response: Response, caller: CallerDep) -> VersionOut:
    """Curate batches by a recipe into a new version; the same order again gives back the version it made (200)."""
    version, new = curation.order(database, body, caller)
    response.status_code = 202 if new else 200
    with database.read() as session:
        return version_out(session, version)


@router.get("")
def list_datasets(database: DatabaseDep) -> dict[str, Any]:
    """List datasets with their versions, newest first."""
    with database.read() as session:
        return {"data": [_dataset(database, dataset.name) for dataset in datasets.every(session)]}


@router.get("/{name}")
def one(name: str, database: DatabaseDep) -> dict[str, Any]:
    """Return a dataset with its versions, newest first."""
    return _dataset(database, name)


def _dataset(database: Database, name: str) -> dict[str, Any]:
    with database.read() as session:
        return {
            "name": name,
            "versions": [version_out(session, version) for version in datasets.versions(session, name)],
        }


@router.get("/{name}/versions/{number}", response_model=VersionOut)
def one_version(name: str, number: int, database: DatabaseDep) -> VersionOut:
    """Return one version: state, funnel, splits, licence, sha256."""
    with database.read() as session:
        return version_out(session, datasets.version(session, name, number))


@router.delete("/{name}/versions/{number}", status_code=204)
def remove(name: str, number: int, database: DatabaseDep, settings: SettingsDep, admin: Admin) -> None:
    """Delete a version's rows, ledger and folder; its number stays taken. 409 where something was made from it."""
    removal.remove_version(database, settings, name, number, admin)


@router.post("/{name}/versions/{number}/control", response_model=VersionOut, status_code=202)
def control(
    name: str, number: int, body: ControlIn, database: DatabaseDep, response: Response, caller: CallerDep
) -> VersionOut:
    """Curate the same batches with chance in place of one filter, keeping as many: what the filter is worth."""
    version, new = curation.control(database, name, number, body, caller)
    response.status_code = 202 if new else 200
    with database.read() as session:
        return version_out(session, version)


@router.post("/{name}/versions/{number}/rebuild", response_model=RebuildOut, status_code=202)
def rebuild(name: str, number: int, database: DatabaseDep) -> Job:
    """Write a sealed version's folder anew from its ledger: the same bytes, or a refusal that says what is another."""
    with database.write() as session:
        return datasets.rebuild(session, datasets.version(session, name, number))


@router.get("/{name}/versions/{number}/rebuild", response_model=RebuildOut)
def rebuilding(name: str, number: int, database: DatabaseDep) -> Job:
    """Return what became of the newest rebuilding."""
    with database.read() as session:
        job = datasets.rebuilding(session, datasets.version(session, name, number))
    if job is None:
        raise NotFound(f"{name}@{number} was never rebuilt")
    return job


@router.get("/{name}/versions/{number}/ledger")
def ledger(
    name: str,
    number: int,
    database: DatabaseDep,
    limit: Limit,
    after: After = 0,
    outcome: Literal["keep", "reject"] | None = None,
    filter_kind: Annotated[str | None, Query(alias="filter")] = None,
    reason: str | None = None,
) -> dict[str, Any]:
    """List what became of every trace, and why, in the order of trace ids."""
    wanted = {"outcome": outcome, "filter": filter_kind, "reason": reason}
    with database.read() as session:
        version = datasets.version(session, name, number)
        rows = datasets.ledger(session, version.id or 0, wanted, after=after, limit=limit)
    data = [ledger_row(*row) for row in rows]
    return {"data": data, "next": data[-1].trace if len(data) == limit else None}


@router.get("/{name}/versions/{number}/download", response_class=StreamingResponse)
def take(
    name: str,
    number: int,
    database: DatabaseDep,
    settings: SettingsDep,
    query: Annotated[DownloadQuery, Query()],
    caller: CallerDep,
    request: Request,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Download the export folder as a zip (`parquet`), or one split as JSON lines in one of the other formats.

    The ETag stands for the bytes: the same version asked for in the same way is the same file. A download that broke
    goes on with `Range: bytes=FIRST-` and that tag in `If-Range`.
    """
    sealed = Sealed(_sealed(database, settings, name, number, licensed=True))
    if query.format == PARQUET:
        query.refuse_knobs()
        tag, ending, kind = f'"{sealed.manifest.sha256}"', "zip", "application/zip"
        make = partial(download.zipped, sealed.folder)
    else:
        form, wish = FORMATS[query.format], query.wish()
        tag, ending, kind = form.etag(sealed.manifest.sha256, query.split, wish), _ending(query), "application/jsonl"
        make = partial(form.lines, sealed, query.split, wish)
    headers = {"ETag": tag, "Content-Disposition": f'attachment; filename="{name}-v{number}.{ending}"'}
    if if_none_match is not None and tag in (each.strip() for each in if_none_match.split(",")):
        return Response(status_code=304, headers=headers)
    answer = ranged(make, headers, kind, request.headers)
    asked = query.model_dump(mode="json", exclude_defaults=True) | {"format": query.format}
    with database.write() as session:  # before the first byte: nobody takes anything away unnoticed
        audit.record(session, caller, Act.VERSION_DOWNLOADED, f"{name}@{number}", **asked)
    return answer


@router.get("/{name}/versions/{number}/download/settings", response_class=PlainTextResponse)
def take_settings(
    name: str, number: int, database: DatabaseDep, settings: SettingsDep, query: Annotated[DownloadQuery, Query()]
) -> Response:
    """Return the file with which a format's reader is told of the downloads: `dataset_info.json`, `axolotl.yaml`."""
    manifest = Sealed(_sealed(database, settings, name, number, licensed=True)).manifest
    form = FORMATS.get(query.format)
    if form is None or form.settings is None:
        having = ", ".join(each.name for each in FORMATS.values() if each.settings)
        raise NotFound(f"readers of '{query.format}' need no settings; those of {having} do")
    files = {split: f"{name}-v{number}.{_ending(query, split)}" for split in manifest.splits}
    filename, text = form.settings(f"{name}-v{number}", files, query.wish())
    return PlainTextResponse(text, headers={"Content-Disposition": f'attachment; filename="{filename}"'})


def _ending(query: DownloadQuery, split: str | None = None) -> str:
    """Return the end of a file's name: two formats of one split can lie beside each other."""
    place = split or query.split
    return f"{place}.jsonl" if query.format == "jsonl" else f"{place}.{query.format}.jsonl"


@router.get("/{name}/versions/{number}/card", response_class=FileResponse)
def card(name: str, number: int, database: DatabaseDep, settings: SettingsDep) -> FileResponse:
    """Return the dataset card."""
    return FileResponse(_sealed(database, settings, name, number) / "README.md", media_type="text/markdown")


@router.get("/{name}/versions/{number}/manifest", response_class=FileResponse)
def manifest(name: str, number: int, database: DatabaseDep, settings: SettingsDep) -> FileResponse:
    """Return the manifest."""
    return FileResponse(_sealed(database, settings, name, number) / "manifest.json", media_type="application/json")


def _sealed(database: Database, settings: Settings, name: str, number: int, *, licensed: bool = False) -> Path:
    with database.read() as session:
        version = datasets.version(session, name, number)
    if version.state != VersionState.SEALED:
        raise Conflict(
            f"{name}@{number} is {version.state}, not sealed{f': {version.detail}' if version.detail else ''}"
        )
    if licensed:
        refuse_blocked(version)
    return settings.data_dir / version.path
