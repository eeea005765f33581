"""All shards that this worker does at once: as many as keep each teacher's gate busy, and no more."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

from service.logs import bind
from service.models import Job, JobKind
from service.settings import Settings
from service.store import generation, queue
from service.store.queue import LeaseLost
from service.teachers.protocol import TeacherBusy, TeacherRefused
from service.tracing import span
from workers.database import AsyncDatabase
from workers.gate import DOWN_MAX_S
from workers.generate import Bounds, Shard, wait_for_teacher
from workers.ids import ids_of
from workers.judge import Judge
from workers.seats import Seats

log = logging.getLogger(__name__)

SHARDS_MAX = 32
"""Shards held at once. Most of them only wait for retries; their prompts are what generation costs in memory."""
IDLE_MIN_S, IDLE_MAX_S = 0.2, 1.0
"""Pause between two looks into an empty queue."""
ANNOUNCE_EVERY_S = 1.0
"""A batch's progress is told once a second by each worker at most."""


@dataclass(slots=True)
class Held:
    """A claimed job; its shard once the teacher's seat is taken."""

    job: Job
    shard: Shard | None = None

    @property
    def is_open(self) -> bool:
        """Whether its prompts are at the gate, where they count."""
        return self.shard is not None and self.shard.opened.is_set()


class Shards:
    """Claims shards and runs them side by side. `work` returns after `halt`, when the last one is put down."""

    def __init__(self, settings: Settings, database: AsyncDatabase, worker: str) -> None:
        self._settings, self._database, self._worker = settings, database, worker
        self._bounds = Bounds(settings.lease_s, settings.attempts_max)
        self._change = asyncio.Event()
        """Set when there may be room for another shard."""
        self._seats = Seats(settings, database, self._change)
        self._judge: Judge | None = None
        """Made for the first batch that needs one."""
        self._tasks: dict[asyncio.Task[None], Held] = {}
        self._announced: dict[str, float] = {}
        self._halted = False

    @property
    def busy(self) -> bool:
        """Whether any shard is held."""
        return bool(self._tasks)

    async def work(self) -> None:
        """Claim and start shards until halted."""
        loop = asyncio.get_running_loop()
        idle_s, look_at, passed = IDLE_MIN_S, loop.time(), set[str]()
        while not self._halted:
            if loop.time() >= look_at or self._may_find(passed):
                full = self._full_teachers()
                job = await self._claim(full)
                if job is not None:
                    idle_s = IDLE_MIN_S
                    held = Held(job)
                    self._tasks[asyncio.create_task(self._do(held))] = held
                    continue
                # With nothing due, only the clock or room at one of these changes anything; claims are not free.
                passed, look_at = full, loop.time() + (IDLE_MAX_S if self._tasks else idle_s)
                idle_s = min(IDLE_MAX_S, 1.5 * idle_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wait_for_room(passed), max(0.0, look_at - loop.time()))
        while self._tasks:
            await asyncio.wait(self._tasks)

    def halt(self) -> None:
        """Claim and ask nothing more."""
        self._halted = True
        self._change.set()
        for held in self._tasks.values():
            if held.shard:
                held.shard.halt()

    def abort(self) -> None:
        """Wait for no teacher any more."""
        for held in self._tasks.values():
            if held.shard:
                held.shard.abort()

    def measure(self) -> None:
        """Set the gauges of how full each teacher's gate is."""
        self._seats.measure()

    async def close(self) -> None:
        """Close all connections and end what judges."""
        await self._seats.close()
        if self._judge:
            self._judge.close()

    async def _wait_for_room(self, passed: set[str]) -> None:
        while not self._halted and not self._may_find(passed):
            self._change.clear()
            await self._change.wait()

    def _may_find(self, passed: set[str]) -> bool:
        """Whether a claim could find what the last one, which passed over these teachers, did not."""
        return len(self._tasks) < SHARDS_MAX and not passed <= self._full_teachers()

    def _full_teachers(self) -> set[str]:
        """Return teachers that need no other shard now: the gate is full, or a shard of theirs is only coming to it."""
        full = set()
        for held in self._tasks.values():
            seat = self._seats.of(held.job.teacher)
            # One shard is enough to see whether a teacher that was down is back.
            if not held.is_open or seat is None or seat.gate.is_down or not seat.gate.has_room:
                full.add(held.job.teacher)
        return full

    async def _claim(self, full: set[str]) -> Job | None:
        if len(self._tasks) >= SHARDS_MAX:
            return None
        options = {"worker": self._worker, "lease_s": self._settings.lease_s, "without_teachers": full}
        claimed = await self._database.write(queue.claim, [JobKind.GENERATE], **options)
        return claimed[0] if claimed else None

    async def _do(self, held: Held) -> None:
        """Do one shard; whatever goes wrong with it, the others go on and it is tried again."""
        bind(**ids_of(held.job))
        try:
            with span("generate", ids_of(held.job)):
                await self._run(held)
        except LeaseLost as lost:
            log.info("%s", lost)
        except TeacherRefused as refused:
            detail = f"teacher '{held.job.teacher}': {refused.detail}"
            await self._wait_for_mending(held.job, refused.reason, detail)
        except Exception as error:
            log.exception("shard %s of %s", held.job.id, held.job.subject)
            await self._wait_for_mending(held.job, "worker_error", repr(error))
        finally:
            del self._tasks[asyncio.current_task()]  # pyright: ignore[reportArgumentType]
            self._change.set()

    async def _run(self, held: Held) -> None:
        batch, teacher = await self._database.read(generation.assignment, held.job)
        try:
            seat = await self._seats.take(teacher)
        except TeacherBusy as away:
            if known := self._seats.of(held.job.teacher):
                await wait_for_teacher(self._database, held.job, known, away)
            return
        if batch.accept_k is not None and self._judge is None:
            self._judge = Judge()
        held.shard = Shard(
            held.job, batch, seat, self._database, self._bounds, self._may_announce, self._change, self._judge
        )
        if self._halted:
            held.shard.halt()
        await held.shard.run()

    async def _wait_for_mending(self, job: Job, reason: str, detail: str) -> None:
        log.warning("shard %s waits: %s", job.id, detail)
        with suppress(LeaseLost):
            await self._database.write(generation.hold_back, job, delay_s=DOWN_MAX_S, reason=reason, detail=detail)

    def _may_announce(self, batch_id: str) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._announced.get(batch_id, float("-inf")) < ANNOUNCE_EVERY_S:
            return False
        self._announced[batch_id] = now
        return True
