"""Quantizations: a finished student with weights in 8 or 4 bits, and what that cost it."""

import orjson
from fastapi import APIRouter, Response

from service.api.deps import DatabaseDep, SettingsDep
from service.api.shapes.runs import QuantizeIn, QuantizeOut
from service.models import Job, JobState
from service.settings import Settings
from service.store import quantizations, runs

router = APIRouter(prefix="/api/runs/{run_id}/quantize", tags=["runs"])


@router.post("", status_code=202)
def create(
    run_id: str, body: QuantizeIn, database: DatabaseDep, settings: SettingsDep, response: Response
) -> QuantizeOut:
    """Make a finished student smaller and measure what that costs; the same again while it is at work is that (200)."""
    with database.write() as session:
        job, new = quantizations.order(session, runs.get(session, run_id), body.bits, body.group_size)
    response.status_code = 202 if new else 200
    return _out(job, settings)


@router.get("")
def listed(run_id: str, database: DatabaseDep, settings: SettingsDep) -> dict[str, list[QuantizeOut]]:
    """List the quantizations of a run's student, the newest first, each with its report once it is done."""
    with database.read() as session:
        runs.get(session, run_id)
        return {"data": [_out(job, settings) for job in quantizations.of(session, run_id)]}


def _out(job: Job, settings: Settings) -> QuantizeOut:
    asked = job.payload
    path = f"runs/{asked['run']}/student-int{asked['bits']}"
    report = settings.data_dir / f"{path}.json"
    done = job.state == JobState.DONE and report.is_file()
    return QuantizeOut(
        **asked,
        state=job.state,
        path=path if done else "",
        reason=job.reason,
        detail=job.detail,
        report=orjson.loads(report.read_bytes()) if done else None,
        created_at=job.created_at,  # pyright: ignore[reportArgumentType] - pydantic reads Unix seconds
        finished_at=job.finished_at,  # pyright: ignore[reportArgumentType]
    )
