"""Renderings: what a student would read of a version, before anything is trained."""

from pathlib import Path

import orjson
from fastapi import APIRouter
from fastapi.responses import FileResponse

from service.api.deps import DatabaseDep, SettingsDep
from service.api.shapes.renders import RenderIn, RenderOut
from service.errors import Conflict, NotFound
from service.models import Job, JobState, VersionState
from service.settings import Settings
from service.store import datasets, renders
from service.training import refuse_blocked

router = APIRouter(prefix="/api", tags=["renders"])


@router.post("/datasets/{name}/versions/{number}/renders", status_code=202)
def create(name: str, number: int, body: RenderIn, database: DatabaseDep, settings: SettingsDep) -> RenderOut:
    """Render every row of a sealed version through a student's chat template; nothing is trained."""
    with database.write() as session:
        version = datasets.version(session, name, number)
        if version.state != VersionState.SEALED:
            raise Conflict(f"{name}@{number} is {version.state}; a sealed version is rendered")
        refuse_blocked(version)
        job = renders.order(session, version, body.model_dump())
    return _out(job, settings)


@router.get("/renders/{render_id}")
def one(render_id: str, database: DatabaseDep, settings: SettingsDep) -> RenderOut:
    """Return one rendering, with its report once it is done."""
    with database.read() as session:
        job = renders.get(session, render_id)
    return _out(job, settings)


@router.post("/renders/{render_id}/cancel")
def cancel(render_id: str, database: DatabaseDep, settings: SettingsDep) -> RenderOut:
    """Stop a rendering."""
    with database.write() as session:
        job = renders.cancel(session, render_id)
    return _out(job, settings)


@router.get("/renders/{render_id}/rejected", response_class=FileResponse)
def rejected(render_id: str, database: DatabaseDep, settings: SettingsDep) -> FileResponse:
    """Return the rows that cannot be trained on, each with its reason, as Parquet."""
    with database.read() as session:
        job = renders.get(session, render_id)
    path = _folder(job, settings) / "rejected.parquet"
    if job.state != JobState.DONE or not path.is_file():
        raise NotFound(f"rendering {render_id} is {job.state} and has no rejected rows")
    return FileResponse(path, media_type="application/vnd.apache.parquet")


def _folder(job: Job, settings: Settings) -> Path:
    return settings.data_dir / "renders" / job.subject


def _out(job: Job, settings: Settings) -> RenderOut:
    report = None
    folder = _folder(job, settings)
    if job.state == JobState.DONE:
        report = orjson.loads((folder / "render.json").read_bytes())
    return RenderOut(
        id=job.subject,
        **job.payload,
        state=job.state,
        rows=job.total,
        rendered=job.stored,
        reason=job.reason,
        detail=job.detail,
        report=report,
        rejected=report is not None and (folder / "rejected.parquet").is_file(),
        created_at=job.created_at,  # pyright: ignore[reportArgumentType] - pydantic reads Unix seconds
        finished_at=job.finished_at,  # pyright: ignore[reportArgumentType]
    )
