"""One run: the trainer is a process of its own, followed line by line."""

import asyncio
import logging
import os
import signal
import sys
from contextlib import suppress
from typing import IO, Any

import orjson

from service import launching
from service.models import DatasetVersion, Job, Run
from service.settings import Settings
from service.store import datasets, queue, runs
from service.store.queue import LeaseLost
from workers.database import AsyncDatabase
from workers.evaluation import Leak, refuse_leaks, write_evaluation
from workers.lease import held
from workers.scored_by import scored_by

log = logging.getLogger(__name__)

INTERRUPTED = 3
"""The trainer's exit code after SIGTERM, its checkpoint written."""
IN_USE = "out_in_use"
"""The trainer's reason when another one still runs in the folder: of a worker that lost its lease and does not know."""
TELL_EVERY_S = 0.5
GRACE_S = 10.0
"""Between SIGTERM and SIGKILL for a run that was cancelled: nobody needs its checkpoint."""
BUSY_S = 10.0
TAIL_BYTES = 2000
LINE_BYTES_MAX = 2**20
KILLED = (
    "something killed the trainer, as the kernel does with whatever takes the last memory: halve `batch_size` and "
    "double `gradient_accumulation` (the same training), or train with `lora`. Its log ends with: "
)
STOP_PART = 0.7
"""Of `drain_s`, for the checkpoint of a trainer whose worker stops."""


async def train(job: Job, database: AsyncDatabase, settings: Settings, stopping: asyncio.Event) -> None:
    """Train the student that the job's run describes. Raises LeaseLost when it was cancelled or taken over."""
    run = await database.read(runs.get, job.subject)
    if run.state in runs.ENDED:
        await database.write(queue.finish, job)
        return
    version = await database.read(datasets.version, run.dataset, run.version)
    training = Training(job, run, version, database, settings, stopping)
    await held(database, job, settings.lease_s, training.run())


class Training:
    """A claimed run: its folder, its process and its end."""

    def __init__(
        self,
        job: Job,
        run: Run,
        version: DatasetVersion,
        database: AsyncDatabase,
        settings: Settings,
        stopping: asyncio.Event,
    ) -> None:
        self._job, self._run, self._database, self._settings, self._stopping = job, run, database, settings, stopping
        self._dataset = (settings.data_dir / version.path).resolve()
        self._folder = (settings.data_dir / "runs" / run.id).resolve()
        self._evaluation = [*run.evaluation, *(version.split.get("eval_batches", []) if run.files else [])]
        """A validation file measures the student too, as far as its lines have references."""
        self._environ = dict(os.environ)
        """Of the trainer."""
        self._news: dict[str, dict[str, Any]] = {}
        """The newest event of each kind that is not in the database yet."""
        self._failure = ("", "")

    async def run(self) -> None:
        """Prepare the folder, run the trainer in it, and end, fail or put back the job."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            command = await asyncio.to_thread(self._prepare)
        except Leak as leak:
            await self._database.write(_fail, self._job, "evaluation_in_training", str(leak))
            return
        except (OSError, ValueError) as error:
            await self._database.write(_fail, self._job, "not_prepared", str(error))
            return
        await self._database.write(_start, self._job, self._run, self._settings.lease_s)
        await self._end(await self._follow(command))

    def _prepare(self) -> list[str]:
        config = self._folder / "config.json"
        # Whoever uploads a file for a training may learn from it; to pass it on is another matter.
        asked = {"license_unknown": "train"} if self._run.files else {}
        asked |= {"suffix": self._run.suffix} if self._run.suffix else {}
        asked |= self._run.config
        asked |= scored_by(self._database.database, asked, self._settings.networks(), self._environ)
        config.write_bytes(orjson.dumps(asked, option=orjson.OPT_INDENT_2))
        arguments = ["--student", self._run.student, "--out", str(self._folder), "--config", str(config)]
        if self._evaluation:
            evaluation = self._folder / "evaluation.parquet"
            partial = evaluation.with_suffix(".partial")
            write_evaluation(self._database.database, self._evaluation, partial)
            refuse_leaks(self._dataset, partial)
            partial.rename(evaluation)
            arguments += ["--evaluation", str(evaluation)]
        launched = [sys.executable, *launching.command(self._run.launch)]
        trainer = [*launched, "trainer", self._run.method, str(self._dataset), *arguments]
        return [sys.executable, "-m", "workers.leash", str(os.getpid()), *trainer]

    async def _follow(self, command: list[str]) -> int:
        """Run the trainer and tell its events; return its exit code. On a signal to this worker it gets SIGTERM."""
        with (self._folder / "log.txt").open("ab") as log_file:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=self._environ,
                stdout=asyncio.subprocess.PIPE,
                stderr=log_file,
                start_new_session=True,
                limit=LINE_BYTES_MAX,
            )
            teller = asyncio.create_task(self._tell())
            stopper = asyncio.create_task(self._stop_with_worker(process))
            try:
                await self._read(process, log_file)
                return await process.wait()
            finally:
                stopper.cancel()
                teller.cancel()
                await kill(process, GRACE_S)

    async def _read(self, process: asyncio.subprocess.Process, log_file: IO[bytes]) -> None:
        assert process.stdout  # noqa: S101  for the type checker: it is a pipe
        async for line in process.stdout:
            event = event_of(line)
            if event is None:
                log_file.write(line)
                log_file.flush()
                continue
            if event.get("event") == "failed":
                self._failure = (str(event.get("reason", "")), str(event.get("detail", "")))
            self._news.pop(str(event.get("event")), None)  # told in the order of what is newest
            self._news[str(event.get("event"))] = event

    async def _tell(self) -> None:
        with suppress(LeaseLost):  # whoever holds the lease notices too, and ends all of this
            while True:
                await asyncio.sleep(TELL_EVERY_S)
                await self._tell_news()

    async def _tell_news(self) -> None:
        news, self._news = list(self._news.values()), {}
        if news:
            await self._database.write(_progress, self._job, news, self._settings.lease_s)

    async def _stop_with_worker(self, process: asyncio.subprocess.Process) -> None:
        await self._stopping.wait()
        await kill(process, STOP_PART * self._settings.drain_s)

    async def _end(self, code: int) -> None:
        await self._tell_news()
        report = self._folder / "report.json"
        if code == 0 and report.is_file():
            found = orjson.loads(report.read_bytes())
            await self._database.write(_succeed, self._job, found, f"runs/{self._run.id}")
        elif self._stopping.is_set() or code == INTERRUPTED:
            await self._database.write(queue.put_back, self._job)
        elif self._failure[0] == IN_USE:
            waits = {"delay_s": BUSY_S, "reason": IN_USE, "detail": self._failure[1]}
            await self._database.write(queue.put_back, self._job, **waits)
        else:
            reason, detail = self._failure if self._failure[0] else (_crash(code), self._last_words(code))
            await self._database.write(_fail, self._job, reason, detail)

    def _last_words(self, code: int) -> str:
        return (KILLED if code == -signal.SIGKILL else "") + self._tail()

    def _tail(self) -> str:
        with (self._folder / "log.txt").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            return file.read().decode(errors="replace").strip()


def event_of(line: bytes) -> dict[str, Any] | None:
    """Return the event that a line of the trainer's stdout tells, None for anything else."""
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _crash(code: int) -> str:
    return f"killed_by_signal_{-code}" if code < 0 else "trainer_crashed"


async def kill(process: asyncio.subprocess.Process, grace_s: float) -> None:
    """End the trainer: SIGTERM to it, after `grace_s` SIGKILL to all that it started."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), grace_s)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _start(session: Any, job: Job, run: Run, lease_s: float) -> None:
    queue.keep(session, job, lease_s=lease_s)
    runs.start(session, run)


def _progress(session: Any, job: Job, news: list[dict[str, Any]], lease_s: float) -> None:
    queue.keep(session, job, lease_s=lease_s)
    for event in news:
        runs.progress(session, job.subject, event)


def _succeed(session: Any, job: Job, report: dict[str, Any], path: str) -> None:
    queue.finish(session, job)
    runs.succeed(session, job.subject, report, path)


def _fail(session: Any, job: Job, reason: str, detail: str) -> None:
    queue.fail(session, job, reason=reason, detail=detail)
    runs.fail(session, job.subject, reason, detail)
