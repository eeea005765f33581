"""A run that learns from uploaded files: they become a version, and then the training is queued."""

import asyncio

from service import training_files
from service.errors import Conflict, Problem
from service.models import DatasetVersion, Job, RunState, VersionState
from service.settings import Settings
from service.store import queue, runs
from service.training import refuse_forbidden
from workers.database import AsyncDatabase
from workers.lease import held

LOOK_EVERY_S = 0.5
"""Between two looks whether the version is sealed."""
BUSY_S = 5.0
"""Before files are taken in again that another run is taking in right now."""
INVALID = "invalid_file"


async def intake(job: Job, database: AsyncDatabase, settings: Settings, _: asyncio.Event) -> None:
    """Bring the job's run one step nearer to its training. Raises LeaseLost when it was cancelled."""
    run = await database.read(runs.get, job.subject)
    if run.state != RunState.VALIDATING:
        await database.write(queue.finish, job)
        return
    await held(database, job, settings.lease_s, _step(job, database, settings))


async def _step(job: Job, database: AsyncDatabase, settings: Settings) -> None:
    try:
        version = await asyncio.to_thread(training_files.make_version, database.database, settings, job.subject)
        if version.state == VersionState.SEALED:
            refuse_forbidden(version)
    except Conflict as conflict:
        if "Retry-After" not in (conflict.headers or {}):
            await database.write(runs.refuse, job, INVALID, conflict.detail)
        else:
            await database.write(queue.put_back, job, delay_s=BUSY_S, reason="in_use", detail=conflict.detail)
    except Problem as problem:
        await database.write(runs.refuse, job, INVALID, problem.detail)
    else:
        await _go_on(job, database, version)


async def _go_on(job: Job, database: AsyncDatabase, version: DatasetVersion) -> None:
    if version.state == VersionState.CURATING:
        await database.write(queue.put_back, job, delay_s=LOOK_EVERY_S, reason="curating")
    elif version.state == VersionState.SEALED:
        await database.write(runs.ready, job)
    else:
        told = f"{version.dataset}@{version.number} is {version.state}: {version.detail}"
        await database.write(runs.refuse, job, version.reason or "no_version", told)
