"""One rendering: the trainer's gate as a process of its own, followed line by line."""

import asyncio
from typing import Any

import orjson

from service.models import Job
from service.settings import Settings
from service.store import datasets, queue, renders
from workers.database import AsyncDatabase
from workers.follow import command as trainer
from workers.follow import follow, tail
from workers.lease import held

UNFIT = "unfit_rows"
"""The trainer's reason when a training would be refused: here that is the answer, and no failure."""


async def render(job: Job, database: AsyncDatabase, settings: Settings, stopping: asyncio.Event) -> None:
    """Render the version that the job names. Raises LeaseLost when it was cancelled or taken over."""
    await held(database, job, settings.lease_s, Rendering(job, database, settings, stopping).run())


class Rendering:
    """A claimed rendering: its folder, its process and its end."""

    def __init__(self, job: Job, database: AsyncDatabase, settings: Settings, stopping: asyncio.Event) -> None:
        self._job, self._database, self._settings, self._stopping = job, database, settings, stopping
        self._folder = (settings.data_dir / "renders" / job.subject).resolve()
        self._rows: dict[str, int] = {}
        """Rendered in each split."""
        self._told = job.stored
        """Of them, those that the job's row counts."""
        self._failure = ("", "")

    async def run(self) -> None:
        """Render, and end or put back the job."""
        command = await asyncio.to_thread(self._command, await self._version())
        log = self._folder / "log.txt"
        code = await follow(command, log, self._hear, self._stopping)
        if self._stopping.is_set():
            await self._database.write(queue.put_back, self._job)
        elif (self._folder / "render.json").is_file() and (code == 0 or self._failure[0] == UNFIT):
            await self._database.write(renders.finish, self._job)
        else:
            reason, detail = self._failure if self._failure[0] else ("trainer_crashed", tail(log))
            await self._database.write(renders.fail, self._job, reason, detail)

    async def _version(self) -> str:
        asked = self._job.payload
        version = await self._database.read(datasets.version, asked["dataset"], asked["version"])
        return str((self._settings.data_dir / version.path).resolve())

    def _command(self, dataset: str) -> list[str]:
        asked = self._job.payload
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "config.json"
        config.write_bytes(orjson.dumps(asked["config"], option=orjson.OPT_INDENT_2))
        options = ["--student", asked["student"], "--method", asked["method"], "--config", str(config)]
        return trainer("render", dataset, "--out", self._folder, *options)

    async def _hear(self, event: dict[str, Any]) -> None:
        if event.get("event") == "failed":
            self._failure = (str(event.get("reason", "")), str(event.get("detail", "")))
        elif event.get("event") == "rendering":
            self._rows[event["split"]] = event["rows"]
        elif event.get("event") == "rendered":
            self._rows = {split: found["rows"] for split, found in event["splits"].items()}
        rows = sum(self._rows.values())
        # A second attempt begins at the first row again; its count is told once it is past the first one's.
        if rows > self._told:
            await self._database.write(queue.keep, self._job, lease_s=self._settings.lease_s, stored=rows - self._told)
            self._told = rows
