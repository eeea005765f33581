"""The worker process: claim what is due, do it, and on a signal put down what is not done."""

import asyncio
import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from pathlib import Path

from service.counting import NEWS, gauges
from service.logs import about
from service.models import Job, JobKind
from service.settings import Settings
from service.store import completions, figures, queue, search
from service.store.database import Database
from service.store.generation import DatabaseAway
from service.store.queue import LeaseLost
from service.tracing import span
from workers.database import AsyncDatabase
from workers.ids import ids_of
from workers.shards import IDLE_MAX_S, IDLE_MIN_S, Shards

log = logging.getLogger(__name__)

DRAIN_PART = 0.8
"""Of `drain_s`, for answers on their way; the rest is for storing them and putting jobs back."""
EXPIRY_EVERY_S = 15.0
"""Between two looks for batches whose completion window is over; the API looks too, whenever one is shown."""
TROUBLE_S = 30.0
"""Pause before a job is tried again that a worker stumbled over."""
BEAT_EVERY_S, TELL_EVERY_S = 5.0, 5.0
"""Between two signs of life; and between two writes of figures, which is how old those of `/metrics` may be."""

INDEX_ROWS, INDEX_EVERY_S = 100, 1.0
"""Traces whose words the index takes in at once, 30 ms of SQLite's one writer; and between two looks for any."""
INDEX_SHARE_MIN, INDEX_SHARE_MAX = 0.02, 0.5
"""Of the time, while answers are on their way: what this process leaves of half a core, so that it keeps up with
teachers as fast as they usually are; those that answer at once are not held up, and the rest comes after."""

Work = Callable[[Job, AsyncDatabase, Settings, asyncio.Event], Awaitable[None]]
ONE_AT_A_TIME = tuple(kind for kind in JobKind if kind != JobKind.GENERATE)


def work_of(kind: JobKind) -> Work:
    """Return what does a job of a kind in `ONE_AT_A_TIME`; a worker that only asks teachers never loads pyarrow."""
    if kind == JobKind.CURATE:
        from workers.curate import curate

        return curate
    if kind == JobKind.RESCORE:
        from workers.rescore import rescore

        return rescore
    if kind == JobKind.REWRITE:
        from workers.rewrite import rewrite

        return rewrite
    if kind == JobKind.RENDER:
        from workers.render import render

        return render
    if kind == JobKind.INTAKE:
        from workers.intake import intake

        return intake
    if kind == JobKind.QUANTIZE:
        from workers.quantize import quantize

        return quantize
    from workers.train import train

    return train


class Worker:
    """One process's worth of work. `run` returns after `stop`, when everything is put down."""

    def __init__(
        self, settings: Settings, database: Database, kinds: Collection[JobKind], alive_file: Path | None = None
    ) -> None:
        """Prepare to do jobs of `kinds`; `alive_file` is touched as long as the event loop turns."""
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._settings, self._kinds = settings, kinds
        self._alive_file = alive_file
        self._database = AsyncDatabase(database)
        self._shards = Shards(settings, self._database, self.name)
        self._stopping = asyncio.Event()
        # What still hangs then (a lost database, a filter that never returns) is put down as by `kill -9`: safely.
        self._watchdog = threading.Timer(settings.drain_s, os._exit, (1,))
        self._watchdog.daemon = True

    async def run(self) -> None:
        """Work until stopped by SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        log.info("worker %s does %s", self.name, ", ".join(sorted(self._kinds)))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat())
            group.create_task(self._tell())
            if self._database.database.embedded:
                group.create_task(self._index())
            if JobKind.GENERATE in self._kinds:
                group.create_task(self._shards.work())
                group.create_task(self._expire())
            for kind in ONE_AT_A_TIME:
                if kind in self._kinds:
                    group.create_task(self._one_by_one(kind, work_of(kind)))
        await self._shards.close()
        await self._database.write(figures.add, NEWS.take())
        await self._database.write(figures.forget_worker, self.name)
        self._watchdog.cancel()

    def stop(self) -> None:
        """Take nothing new, let what is on its way arrive, put the rest back; a second call waits for nothing."""
        if self._stopping.is_set():
            self._shards.abort()
            return
        log.info("worker %s stops", self.name)
        self._stopping.set()
        self._shards.halt()
        asyncio.get_running_loop().call_later(DRAIN_PART * self._settings.drain_s, self._shards.abort)
        self._watchdog.start()

    async def _beat(self) -> None:
        """Show that the event loop turns, whatever the database does: a worker that waits for it is well."""
        while not self._stopping.is_set():
            if self._alive_file is not None:
                self._alive_file.touch()
            await self._pause(BEAT_EVERY_S)

    async def _tell(self) -> None:
        """Tell operators that this worker is there, and what it counted."""
        while not self._stopping.is_set():
            self._shards.measure()
            await self._database.write(figures.add, NEWS.take())
            await self._database.write(figures.note_worker, self.name, sorted(self._kinds), gauges())
            await self._pause(TELL_EVERY_S)

    async def _expire(self) -> None:
        while not self._stopping.is_set():
            with suppress(*DatabaseAway):
                await asyncio.to_thread(completions.expire_due, self._database.database)
            await self._pause(EXPIRY_EVERY_S)

    async def _index(self) -> None:
        """Bring SQLite's index of words up behind the answers; while some are on their way, in a share of the time."""
        share = INDEX_SHARE_MIN
        while not self._stopping.is_set():
            began = time.monotonic()
            taken = await self._database.write(search.index, INDEX_ROWS)
            if not taken:
                await self._pause(INDEX_EVERY_S)
            elif self._shards.busy:
                used = await self._used((time.monotonic() - began) * (1 / share - 1))
                share = max(INDEX_SHARE_MAX - used, INDEX_SHARE_MIN)

    async def _used(self, seconds: float) -> float:
        """Wait, and return how much of a core this process used meanwhile; above 1 where it used several."""
        began, used = time.monotonic(), time.process_time()
        await self._pause(seconds)
        return (time.process_time() - used) / (time.monotonic() - began)

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than until this worker is to stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _one_by_one(self, kind: JobKind, work: Work) -> None:
        idle_s = IDLE_MIN_S
        while not self._stopping.is_set():
            lease_s = self._settings.lease_s
            for job in await self._database.write(queue.claim, [kind], worker=self.name, lease_s=lease_s):
                idle_s = IDLE_MIN_S
                await self._do(job, work)
            await self._pause(idle_s)
            idle_s = min(IDLE_MAX_S, 1.5 * idle_s)

    async def _do(self, job: Job, work: Work) -> None:
        """Do one job; whatever goes wrong with it, the worker lives on and the job is tried again."""
        try:
            with about(**ids_of(job)), span(job.kind, ids_of(job)):
                await work(job, self._database, self._settings, self._stopping)
        except LeaseLost as lost:
            log.info("%s", lost)
        except Exception as error:
            with about(**ids_of(job)):
                log.exception("%s job %s for %s", job.kind, job.id, job.subject)
            waits = {"delay_s": TROUBLE_S, "reason": "worker_error", "detail": repr(error)}
            with suppress(LeaseLost):
                await self._database.write(queue.put_back, job, **waits)
