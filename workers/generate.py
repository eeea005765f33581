"""One shard: ask its teacher for what is missing, and keep the answers as they come."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from service.models import Batch, Job
from service.store import generation, queue
from service.store.generation import Ask
from service.teachers.protocol import NOBODY_THERE, Completion, Sampling, TeacherBusy, TeacherError
from service.teachers.retry import ATTEMPTS_MAX, next_attempt
from workers.database import AsyncDatabase
from workers.gate import Lane
from workers.judge import Judge
from workers.results import Results, failure, store
from workers.seats import Seat

log = logging.getLogger(__name__)

FLUSH_ROWS, FLUSH_S = 32, 0.5
"""Results are committed when so many are there, or so long after they came: all that `kill -9` may cost."""
TEACHER_DOWN = "teacher_down"
"""Why a shard waits, as `GET /api/batches/{id}` shows it."""
CHANCE = random.SystemRandom()


@dataclass(slots=True)
class Bounds:
    """What the settings allow a shard."""

    lease_s: float
    attempts_max: int


class Shard:
    """A claimed shard. `run` ends when all is asked, the lease is lost, the teacher is down, or after `halt`."""

    def __init__(
        self,
        job: Job,
        batch: Batch,
        seat: Seat,
        database: AsyncDatabase,
        bounds: Bounds,
        may_announce: Callable[[str], bool],
        change: asyncio.Event,
        judge: Judge | None = None,
    ) -> None:
        """Prepare; `judge` is needed for a batch with `accept_k`."""
        self.job, self.batch, self.seat = job, batch, seat
        self.database, self.bounds, self.may_announce, self.judge = database, bounds, may_announce, judge
        self._change = change
        self._results = Results()
        self._flush_now = asyncio.Event()
        self._askers: set[asyncio.Task[None]] = set()
        self._flying: set[asyncio.Task[Any] | None] = set()
        """Askers whose request is on its way or being judged: `halt` lets them end."""
        self.opened = asyncio.Event()
        """Set when its prompts wait at the gate, or when there are none."""
        self._halted = self._all_asked = False
        self._down: TeacherError | None = None

    async def run(self) -> None:
        """Do the shard and end, put back or hold back its job. Raises LeaseLost, after which nothing is left to do."""
        while not self._halted:
            asks = await self.database.read(generation.missing, self.job, self.batch)
            if not asks or await self._ask_all(asks):
                await self.database.write(generation.finish, self.job)
                return
        if self._down is None:
            await self.database.write(queue.put_back, self.job)
            return
        await wait_for_teacher(self.database, self.job, self.seat, self._down)

    def halt(self) -> None:
        """Ask nothing more; requests on their way may still bring their answers."""
        self._halted = True
        for asker in self._askers - self._flying:
            asker.cancel()

    def abort(self) -> None:
        """Drop the requests on their way too; what has come is still stored."""
        self.halt()
        for asker in self._askers:
            asker.cancel()

    async def _ask_all(self, asks: Sequence[Ask]) -> bool:
        """Ask, and keep what comes; return whether nothing is left. Raises LeaseLost, and what broke an asker."""
        self._all_asked = False
        self._askers = {asyncio.create_task(self._ask(ask)) for ask in asks}
        await asyncio.sleep(0)  # each of them takes its first step, to the gate
        self.opened.set()
        self._change.set()
        keeper = asyncio.create_task(self._keep())
        asked = asyncio.gather(*self._askers, return_exceptions=True)
        await asyncio.wait((keeper, asked), return_when=asyncio.FIRST_COMPLETED)
        # The keeper ends first only by losing the lease: requests still on their way are for nothing then.
        for asker in self._askers:
            asker.cancel()
        outcomes = await asked
        self._all_asked = True
        self._flush_now.set()
        await keeper
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome  # ours: the same prompts asked again at once would end the same way
        return not self._halted and not any(outcomes)

    async def _ask(self, ask: Ask) -> None:
        """Ask for a prompt's missing answers until they are there or given up; between two tries it holds no slot."""
        wanted, attempts, task = ask.sample_indexes, 0, asyncio.current_task()
        while wanted:
            async with self.seat.gate.slot() as slot:
                if self._halted:
                    return
                self._flying.add(task)
                completions, trouble = await self._try(ask, self._turn(ask, wanted), slot.lane)
            self._results.busy_s += slot.busy_s
            wanted = await self._take_in(ask, wanted, completions)
            self._flying.discard(task)
            if self._down or not wanted:
                return
            if trouble is None:
                attempts = 0
                continue
            if slot.lane.is_down:
                continue  # another server may answer: the prompt has lost nothing but a moment
            attempts += 1
            wait_s = self._wait_s(attempts, trouble)
            if wait_s is None:
                self._give_up(ask, wanted, trouble, attempts)
                return
            await asyncio.sleep(wait_s)

    def _turn(self, ask: Ask, wanted: Sequence[int]) -> Sequence[int]:
        """Return which answers to ask for next: all of them, or as many as would be enough if they were right."""
        return wanted if self.batch.accept_k is None else wanted[: self.batch.accept_k - ask.accepted]

    async def _try(
        self, ask: Ask, wanted: Sequence[int], lane: Lane
    ) -> tuple[Sequence[Completion], TeacherError | None]:
        """Send one request; return its answers, and what was wrong if they are too few."""
        try:
            client = self.seat.clients[lane.address]
            completions = await client.complete(ask.messages, self._sampling(ask, wanted), len(wanted))
        except TeacherBusy as busy:
            lane.busy(busy)
            if busy.reason in NOBODY_THERE or (busy.away and lane.refuses_all):
                lane.down()
                if self.seat.gate.is_down:
                    self._down = busy
                    self.halt()
            return (), busy
        except TeacherError as refused:
            return (), refused
        except Exception as error:
            # Our own mistake with one prompt must neither stop the others nor be tried for ever.
            log.exception("prompt %s of %s", ask.prompt_id, self.batch.id)
            return (), TeacherError("worker_error", repr(error))
        if lane.answered(completions):
            await self.database.write(generation.let_go, self.job.teacher, TEACHER_DOWN)
        if len(completions) >= len(wanted):
            return completions, None
        return completions, TeacherBusy("wrong_n", f"{len(completions)} of {len(wanted)} answers came")

    async def _take_in(self, ask: Ask, wanted: Sequence[int], completions: Sequence[Completion]) -> Sequence[int]:
        """Keep answers for the first of `wanted`; return those that are still to be asked for."""
        if not completions:
            return wanted
        accepted: Sequence[bool | None] = [None] * len(completions)
        if self.batch.accept_k is not None and self.judge is not None:
            accepted = await self.judge.accept(ask, completions)
            ask.accepted += sum(accepted)
            ask.tokens += sum(completion.completion_tokens or 0 for completion in completions)
        self._results.add(ask.prompt_id, wanted, completions, accepted)
        wanted = wanted[len(completions) :]
        if wanted and generation.is_enough(self.batch, ask.accepted, ask.tokens):
            self._results.spared += len(wanted)
            wanted = ()
        self._wake_keeper()
        return wanted

    def _wait_s(self, attempts: int, trouble: TeacherError) -> float | None:
        """Return how long to wait before the next try, None when there is none: the setting says how many."""
        if attempts >= self.bounds.attempts_max:
            return None
        return next_attempt(min(attempts, ATTEMPTS_MAX - 1), trouble, CHANCE)

    def _sampling(self, ask: Ask, wanted: Sequence[int]) -> Sampling:
        """Return the batch's sampling under the prompt's own; a seed moves on with the sample, lest answers repeat."""
        params = self.batch.sampling | ask.body
        if wanted[0] and isinstance(params.get("seed"), int):
            params = params | {"seed": params["seed"] + wanted[0]}
        return Sampling(params)

    def _give_up(self, ask: Ask, wanted: Sequence[int], trouble: TeacherError, attempts: int) -> None:
        why = {"reason": trouble.reason, "detail": trouble.detail, "attempts": attempts}
        self._results.failures += [failure(self.job, ask.prompt_id, index, **why) for index in wanted]
        self._wake_keeper()

    def _wake_keeper(self) -> None:
        if len(self._results) >= FLUSH_ROWS:
            self._flush_now.set()

    async def _keep(self) -> None:
        """Store results as they come and renew the lease when none do. Raises LeaseLost."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while not self._all_asked or self._results:
            timer = loop.call_later(FLUSH_S, self._flush_now.set)
            await self._flush_now.wait()
            timer.cancel()
            self._flush_now.clear()
            if self._results:
                results, self._results = self._results, Results()
                announce = self.may_announce(self.batch.id)
                await self.database.write(store, self.job, results, lease_s=self.bounds.lease_s, announce=announce)
            elif loop.time() - renewed >= self.bounds.lease_s / 3:
                await self.database.write(queue.keep, self.job, lease_s=self.bounds.lease_s)
            else:
                continue
            renewed = loop.time()


async def wait_for_teacher(database: AsyncDatabase, job: Job, seat: Seat, why: TeacherError) -> None:
    """Put a shard back until the next look at a teacher that is down. Raises LeaseLost."""
    delay_s = seat.gate.waits_s()
    detail = f"no answer from {seat.address} ({why}); next look in {delay_s:g} s"
    log.warning("shard %s waits: %s", job.id, detail)
    await database.write(generation.hold_back, job, delay_s=delay_s, reason=TEACHER_DOWN, detail=detail)
