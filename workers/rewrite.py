"""Rewriting stored traces: a teacher shortens their reasoning, or it is left out. The old ones stay as they are."""

import asyncio
import itertools
import logging
import random
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from service.models import Batch, Job, Teacher
from service.rewrites import Unusable, ask, read
from service.settings import Settings
from service.store import generation, rewriting
from service.store.rewriting import Key, Old
from service.teachers.protocol import (
    NOBODY_THERE,
    Completion,
    Sampling,
    TeacherBusy,
    TeacherError,
    TeacherRefused,
)
from service.teachers.protocol import Teacher as Client
from service.teachers.retry import ATTEMPTS_MAX, next_attempt
from workers.away import put_back
from workers.database import AsyncDatabase
from workers.lease import held
from workers.teachers import TEACHERS

log = logging.getLogger(__name__)

AT_ONCE = 64
"""Requests in flight to each server, where the teacher's own limit is not lower."""
PAGE_ROWS = 256
"""Old traces read at once."""
FLUSH_ROWS, FLUSH_S = 32, 0.5
"""Results are committed when so many are there, or so long after the last time: all that `kill -9` may cost."""
DRAIN_PART = 0.5
"""Of `drain_s`, how long requests on their way may still bring something when the worker stops."""
CHANCE = random.SystemRandom()


async def rewrite(job: Job, database: AsyncDatabase, settings: Settings, stopping: asyncio.Event) -> None:
    """Do one job: rewrite every trace in its range that has no new one yet, or say of it why that failed.

    Raises LeaseLost. A teacher that is away or wrongly registered makes the job wait, as with answers.
    """
    await held(database, job, settings.lease_s, Rewriting(job, database, settings, stopping).run())


@dataclass(slots=True)
class Results:
    """What is not in the database yet."""

    traces: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __len__(self) -> int:
        return len(self.traces) + len(self.failures)


class Rewriting:
    """One job under way."""

    def __init__(self, job: Job, database: AsyncDatabase, settings: Settings, stopping: asyncio.Event) -> None:
        self.job, self.database, self.settings, self.stopping = job, database, settings, stopping
        self._results = Results()
        self._place: Key | None = None
        self._flushed = time.monotonic()
        self._away: TeacherError | None = None
        """Set when going on makes no sense before something changes."""

    async def run(self) -> None:
        """Rewrite until nothing is left, the teacher is away or the worker stops; end or put back the job."""
        batch, teacher = await self.database.read(rewriting.assignment, self.job)
        clients: list[Client] = []
        try:
            if batch.rewrite and batch.rewrite["teacher"]:
                clients = self._clients(teacher)
                at_once = len(clients) * min(AT_ONCE, teacher.max_concurrency if teacher else AT_ONCE)
                all_done = await self._ask_all(batch, clients, at_once)
            else:
                all_done = await self._copy_all(batch)
            if all_done:
                await self.database.write(generation.finish, self.job)
                return
        except TeacherRefused as refused:
            self._away = refused
        finally:
            for client in clients:
                await client.close()
        await put_back(self.database, self.job, self._away)

    @property
    def _ends_early(self) -> bool:
        return self.stopping.is_set() or self._away is not None

    async def _copy_all(self, batch: Batch) -> bool:
        """Store every trace without its reasoning; return whether all are done."""
        async for old in self._old(batch):
            self._results.traces += map(rewriting.answer_only, old)
            await self._flush()
        return not self._ends_early

    async def _ask_all(self, batch: Batch, clients: list[Client], at_once: int) -> bool:
        """Have every trace rewritten, `at_once` side by side, and keep what comes; return whether all are done."""
        flying: set[asyncio.Task[None]] = set()
        servers = itertools.cycle(clients)
        try:
            async for page in self._old(batch):
                for old in page:
                    flying = await self._settled(flying, at_once, len(clients))
                    if self._ends_early:
                        break
                    flying.add(asyncio.create_task(self._ask(batch, old, servers, len(clients))))
            give_up_at = None
            while flying and (give_up_at is None or time.monotonic() < give_up_at):
                if self.stopping.is_set() and give_up_at is None:
                    give_up_at = time.monotonic() + DRAIN_PART * self.settings.drain_s
                flying = await self._settled(flying, len(flying), len(clients))
            return not flying and not self._ends_early
        finally:
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)
            await self._flush()

    async def _old(self, batch: Batch) -> AsyncIterator[list[Old]]:
        """Yield pages of what is still to be done."""
        while not self._ends_early:
            old, self._place = await self.database.write(
                rewriting.take, self.job, batch, after=self._place, limit=PAGE_ROWS, lease_s=self.settings.lease_s
            )
            if old:
                yield old
            if self._place is None:
                return

    async def _settled(self, flying: set[asyncio.Task[None]], at_once: int, servers: int) -> set[asyncio.Task[None]]:
        """Return the requests that are still on their way, once they are fewer than `at_once`; store what came."""
        while len(flying) >= at_once and flying:
            done, flying = await asyncio.wait(flying, timeout=FLUSH_S, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            elapsed_s = time.monotonic() - self._flushed
            if len(self._results) >= FLUSH_ROWS or (self._results and elapsed_s >= FLUSH_S):
                await self._flush(busy_s=elapsed_s * servers)
            if self.stopping.is_set():
                break
        return flying

    async def _flush(self, busy_s: float = 0.0) -> None:
        results, self._results = self._results, Results()
        self._flushed = time.monotonic()
        if results:
            await self.database.write(
                rewriting.store,
                self.job,
                lease_s=self.settings.lease_s,
                traces=results.traces,
                failures=results.failures,
                prompt_tokens=results.prompt_tokens,
                completion_tokens=results.completion_tokens,
                busy_s=busy_s,
            )

    async def _ask(self, batch: Batch, old: Old, servers: Iterator[Client], count: int) -> None:
        """Have one trace rewritten. Where the teacher is away nothing comes of it, and it is asked again later."""
        how = batch.rewrite or {}
        messages = ask(old.messages, old.reasoning, old.response, how["instruction"])
        for attempts in itertools.count(1):
            if self._ends_early:
                return
            try:
                completion = (await next(servers).complete(messages, Sampling(batch.sampling)))[0]
            except TeacherBusy as busy:
                if busy.reason in NOBODY_THERE and attempts >= count:
                    self._away = busy
                    return
                trouble = busy
            except TeacherRefused as refused:
                if refused.whole_teacher:
                    self._away = refused
                    return
                trouble = refused
            except Exception as error:
                # Our own mistake with one trace must neither stop the others nor be tried for ever.
                log.exception("trace %s for %s", old.trace_id, batch.id)
                trouble = TeacherError("worker_error", repr(error))
            else:
                self._take_in(old, completion, how, attempts)
                return
            wait_s = None
            if attempts < self.settings.attempts_max:
                wait_s = next_attempt(min(attempts, ATTEMPTS_MAX - 1), trouble, CHANCE)
            if wait_s is None:
                self._results.failures.append(rewriting.failure(old, trouble.reason, trouble.detail, attempts))
                return
            await asyncio.sleep(wait_s)

    def _take_in(self, old: Old, completion: Completion, how: dict[str, Any], attempts: int) -> None:
        """Note what a reply is worth; its tokens were spent either way."""
        self._results.prompt_tokens += completion.prompt_tokens or 0
        self._results.completion_tokens += completion.completion_tokens or 0
        about: dict[str, Any] = {"messages": old.messages, "old": old.reasoning, "response": old.response}
        new = read(completion.response, completion.finish_reason, share_max=how["share_max"], **about)
        if isinstance(new, Unusable):
            self._results.failures.append(rewriting.failure(old, new.reason, new.detail, attempts))
        else:
            self._results.traces.append(rewriting.compacted(old, self.job.teacher, new, completion))

    def _clients(self, teacher: Teacher | None) -> list[Client]:
        """Return one client for each of the teacher's servers. Raises TeacherRefused where it cannot be asked."""
        if teacher is None or teacher.backend not in TEACHERS:
            raise TeacherRefused("unknown_teacher", f"no teacher '{self.job.teacher}' is registered any more")
        try:
            return [
                TEACHERS[teacher.backend](
                    address,
                    teacher.model,
                    api_key_env=teacher.api_key_env,
                    timeout_s=self.settings.request_timeout_s,
                    token_ids=False,
                    networks=self.settings.networks(),
                    name=teacher.name,
                )
                for address in dict.fromkeys([teacher.base_url, *teacher.replicas])
            ]
        except ValueError as error:
            raise TeacherRefused("bad_address", str(error)) from error
