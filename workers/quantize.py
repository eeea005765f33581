"""One finished student made smaller: the trainer's `quantize` as a process of its own."""

import asyncio
from typing import Any

from service.models import DatasetVersion, Job, Run
from service.settings import Settings
from service.store import quantizations, queue, runs
from workers.database import AsyncDatabase
from workers.follow import command, follow, tail
from workers.lease import held


async def quantize(job: Job, database: AsyncDatabase, settings: Settings, stopping: asyncio.Event) -> None:
    """Quantize the student of the job's run. Raises LeaseLost when it was taken over."""
    run = await database.read(runs.get, job.payload["run"])
    version = await database.read(runs.version_of, run)
    await held(database, job, settings.lease_s, _work(job, run, version, database, settings, stopping))


async def _work(
    job: Job, run: Run, version: DatasetVersion, database: AsyncDatabase, settings: Settings, stopping: asyncio.Event
) -> None:
    folder, dataset = ((settings.data_dir / path).resolve() for path in (run.path, version.path))
    options = ["--dataset", dataset, "--bits", job.payload["bits"]]
    if job.payload["group_size"]:
        options += ["--group-size", job.payload["group_size"]]
    evaluation = folder / "evaluation.parquet"
    if evaluation.is_file():  # the prompts that the run itself was measured with
        options += ["--evaluation", evaluation]
    failure = {"reason": "", "detail": ""}

    async def hear(event: dict[str, Any]) -> None:
        if event.get("event") == "failed":
            failure.update(reason=str(event.get("reason", "")), detail=str(event.get("detail", "")))

    log = folder / f"quantize-int{job.payload['bits']}.log"
    code = await follow(command("quantize", folder, *options), log, hear, stopping)
    if code == 0:
        await database.write(quantizations.finish, job)
    elif stopping.is_set():
        await database.write(queue.put_back, job)
    else:
        reason, detail = failure.values() if failure["reason"] else ("trainer_crashed", tail(log))
        await database.write(quantizations.fail, job, reason, detail)
