"""All shards that this worker does at once: as many as keep each teacher's gate busy, and no more."""

import asyncio
import logging
from contextlib import suppress

from service.models import Job, Teacher
from service.settings import Settings
from service.store import generation, queue
from service.store.queue import LeaseLost
from workers.database import AsyncDatabase
from workers.gate import DOWN_MAX_S, Gate
from workers.generate import Bounds, Seat, Shard
from workers.teachers import TEACHERS
from workers.teachers.protocol import Teacher as Asked
from workers.teachers.protocol import TeacherRefused

log = logging.getLogger(__name__)

SHARDS_MAX = 32
"""Shards held at once. Most of them only wait for retries; their prompts are what generation costs in memory."""
IDLE_MIN_S, IDLE_MAX_S = 0.2, 1.0
"""Pause between two looks into an empty queue."""
ANNOUNCE_EVERY_S = 1.0
"""A batch's progress is told once a second by each worker at most."""


class Shards:
    """Claims shards and runs them side by side. `work` returns after `halt`, when the last one is put down."""

    def __init__(self, settings: Settings, database: AsyncDatabase, worker: str) -> None:
        self._settings, self._database, self._worker = settings, database, worker
        self._bounds = Bounds(settings.lease_s, settings.attempts_max)
        self._seats: dict[str, tuple[tuple[object, ...], Seat]] = {}
        self._tasks: dict[asyncio.Task[None], Shard] = {}
        self._announced: dict[str, float] = {}
        self._change = asyncio.Event()
        """Set when there may be room for another shard."""
        self._halted = False

    async def work(self) -> None:
        """Claim and start shards until halted."""
        idle_s = IDLE_MIN_S
        while not self._halted:
            self._change.clear()
            full = self._full_teachers()
            job = await self._claim(full)
            if job is not None:
                idle_s = IDLE_MIN_S
                await self._start(job)
                continue
            # With nothing due, a free slot changes nothing: only the clock does.
            waits_for_room = bool(full) or len(self._tasks) >= SHARDS_MAX
            with suppress(TimeoutError):
                await asyncio.wait_for(self._change.wait() if waits_for_room else self._stopped(), idle_s)
            idle_s = min(IDLE_MAX_S, 1.5 * idle_s)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def halt(self) -> None:
        """Claim and ask nothing more."""
        self._halted = True
        self._change.set()
        for shard in self._tasks.values():
            shard.halt()

    def abort(self) -> None:
        """Wait for no teacher any more."""
        for shard in self._tasks.values():
            shard.abort()

    async def close(self) -> None:
        """Close all connections."""
        for _, seat in self._seats.values():
            await seat.client.close()

    async def _stopped(self) -> None:
        while not self._halted:
            await self._change.wait()
            self._change.clear()

    def _full_teachers(self) -> set[str]:
        """Return teachers that need no other shard now: the gate is full, or one shard looks whether they are back."""
        held = {shard.job.teacher for shard in self._tasks.values()}
        return {
            name
            for name, (_, seat) in self._seats.items()
            if not seat.gate.has_room or (seat.gate.is_down and name in held)
        }

    async def _claim(self, full: set[str]) -> Job | None:
        if len(self._tasks) >= SHARDS_MAX:
            return None
        lease_s = self._settings.lease_s
        return await self._database.write(generation.claim, worker=self._worker, lease_s=lease_s, without=full)

    async def _start(self, job: Job) -> None:
        batch, teacher = await self._database.read(generation.assignment, job)
        try:
            seat = self._seat(teacher)
        except TeacherRefused as refused:
            waits = {"delay_s": DOWN_MAX_S, "reason": refused.reason, "detail": f"{job.teacher}: {refused.detail}"}
            log.warning("shard %s waits: %s", job.id, waits["detail"])
            with suppress(LeaseLost):
                await self._database.write(generation.hold_back, job, **waits)
            return
        shard = Shard(job, batch, seat, self._database, self._bounds, self._may_announce)
        if self._halted:
            shard.halt()
        task = asyncio.create_task(self._run(shard))
        self._tasks[task] = shard
        opened = asyncio.create_task(shard.opened.wait())
        await asyncio.wait((task, opened), return_when=asyncio.FIRST_COMPLETED)
        opened.cancel()

    async def _run(self, shard: Shard) -> None:
        try:
            await shard.run()
        except LeaseLost as lost:
            log.info("%s", lost)
        except Exception as error:
            log.exception("shard %s of %s", shard.job.id, shard.batch.id)
            waits = {"delay_s": DOWN_MAX_S, "reason": "worker_error", "detail": repr(error)}
            with suppress(LeaseLost):
                await self._database.write(queue.put_back, shard.job, **waits)
        finally:
            del self._tasks[asyncio.current_task()]  # pyright: ignore[reportArgumentType]
            self._change.set()

    def _seat(self, teacher: Teacher | None) -> Seat:
        """Return a teacher's seat, a new one if it was registered anew. Raises TeacherRefused if it cannot be asked."""
        if teacher is None:
            raise TeacherRefused("unknown_teacher", "no teacher of that name is registered any more")
        if teacher.backend not in TEACHERS:
            raise TeacherRefused("unknown_backend", f"this worker knows no backend '{teacher.backend}'")
        # Only vLLM and its kin tell `max_model_len` when probed, and know the field that counts each answer's tokens.
        token_ids = bool((teacher.health or {}).get("max_model_len"))
        asked = (teacher.backend, teacher.base_url, teacher.model, teacher.api_key_env, token_ids)
        known = self._seats.get(teacher.name)
        if known is None or known[0] != asked:
            client = self._client(teacher, token_ids)
            known = asked, Seat(client, Gate(teacher.max_concurrency, self._change), teacher.base_url)
            self._seats[teacher.name] = known
        known[1].gate.ceiling = teacher.max_concurrency
        return known[1]

    def _client(self, teacher: Teacher, token_ids: bool) -> Asked:
        try:
            return TEACHERS[teacher.backend](
                teacher.base_url,
                teacher.model,
                api_key_env=teacher.api_key_env,
                timeout_s=self._settings.request_timeout_s,
                token_ids=token_ids,
            )
        except ValueError as error:
            raise TeacherRefused("bad_address", str(error)) from error

    def _may_announce(self, batch_id: str) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._announced.get(batch_id, 0.0) < ANNOUNCE_EVERY_S:
            return False
        self._announced[batch_id] = now
        return True
