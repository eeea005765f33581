"""Soft labels for traces that have none: their teacher is shown them again."""

import asyncio
import itertools
import random
from typing import Any

from service.models import Job, Teacher
from service.settings import Settings
from service.store import rescoring
from service.store.rescoring import Unlabelled
from service.store.soft_labels import labels_row, missing_row
from service.teachers.protocol import NOBODY_THERE, TeacherBusy, TeacherError, TeacherRefused
from service.teachers.retry import ATTEMPTS_MAX, next_attempt
from workers.away import put_back
from workers.database import AsyncDatabase
from workers.lease import held
from workers.teachers import TEACHERS
from workers.teachers.openai_http import OpenAITeacher
from workers.teachers.scoring import CannotScore, Scorer

AT_ONCE = 8
"""Requests in flight to each server: scoring is all prefill, of which a GPU does little side by side."""
FLUSH_ROWS = 32
"""Traces scored between two commits: all that `kill -9` may cost."""
CHANCE = random.SystemRandom()


async def rescore(job: Job, database: AsyncDatabase, settings: Settings, stopping: asyncio.Event) -> None:
    """Do one job: score every trace in its range that has no soft labels, or say of it why it cannot be scored.

    Raises LeaseLost. A teacher that is away or wrongly registered makes the job wait, as with answers.
    """
    scoring = Rescoring(job, database, settings, stopping)
    await held(database, job, settings.lease_s, scoring.run())


class Rescoring:
    """One job under way."""

    def __init__(self, job: Job, database: AsyncDatabase, settings: Settings, stopping: asyncio.Event) -> None:
        self.job, self.database, self.settings, self.stopping = job, database, settings, stopping
        self._away: TeacherError | None = None
        """Set when going on makes no sense before something changes."""

    async def run(self) -> None:
        """Score until nothing is left, the teacher is away or the worker stops; end or put back the job."""
        scorers: list[Scorer] = []
        try:
            teacher = await self.database.read(rescoring.scorer, self.job)
            scorers = self._scorers(teacher)
            while not self.stopping.is_set() and self._away is None:
                traces = await self.database.read(rescoring.unlabelled, self.job, limit=FLUSH_ROWS)
                if not traces:
                    await self.database.write(rescoring.finish, self.job)
                    return
                await self._score_all(scorers, traces, min(AT_ONCE, teacher.max_concurrency) if teacher else AT_ONCE)
        except TeacherRefused as refused:
            self._away = refused
        finally:
            for scorer in scorers:
                await scorer.client.close()
        await put_back(self.database, self.job, self._away)

    def _scorers(self, teacher: Teacher | None) -> list[Scorer]:
        """Return one scorer for each of the teacher's servers."""
        if teacher is None or teacher.backend not in TEACHERS:
            raise TeacherRefused("unknown_teacher", f"no teacher '{self.job.teacher}' is registered any more")
        own = teacher.name == self.job.payload["of"]
        made = []
        for address in dict.fromkeys([teacher.base_url, *teacher.replicas]):
            options: dict[str, Any] = {"api_key_env": teacher.api_key_env, "timeout_s": self.settings.request_timeout_s}
            options["networks"] = self.settings.networks()
            made.append(Scorer(OpenAITeacher(address, teacher.model, **options), trusts_ids=own))
        return made

    async def _score_all(self, scorers: list[Scorer], traces: list[Unlabelled], at_once: int) -> None:
        slots = asyncio.Semaphore(at_once * len(scorers))
        found = await asyncio.gather(
            *(self._row(scorer, slots, trace) for scorer, trace in zip(itertools.cycle(scorers), traces, strict=False))
        )
        rows = [row for row in found if row]
        if rows:
            await self.database.write(rescoring.store, self.job, rows, lease_s=self.settings.lease_s)

    async def _row(self, scorer: Scorer, slots: asyncio.Semaphore, trace: Unlabelled) -> dict[str, Any] | None:
        """Return the row of a trace; None where the teacher is away, so that it has to be tried again."""
        for attempts in itertools.count(1):
            async with slots:
                if self._away is not None or self.stopping.is_set():
                    return None
                row, trouble = await self._try(scorer, trace)
            if row is not None or trouble is None:
                return row
            wait_s = None
            if attempts < self.settings.attempts_max:
                wait_s = next_attempt(min(attempts, ATTEMPTS_MAX - 1), trouble, CHANCE)
            if wait_s is None:
                return {"trace_id": trace.trace_id} | missing_row(trouble.reason, trouble.detail)
            await asyncio.sleep(wait_s)
        raise AssertionError("the attempts have no end")

    async def _try(self, scorer: Scorer, trace: Unlabelled) -> tuple[dict[str, Any] | None, TeacherError | None]:
        """Return a row, or what was wrong this time; neither where the teacher is away."""
        about = {"trace_id": trace.trace_id}
        try:
            return about | labels_row(await scorer.labels(trace, self.job.payload["k"])), None
        except CannotScore as cannot:
            return about | missing_row(cannot.reason, cannot.detail), None
        except TeacherBusy as busy:
            if busy.reason in NOBODY_THERE:
                self._away = busy
                return None, None
            return None, busy
        except TeacherRefused as refused:
            # A server without /tokenize answers well and can still score nothing: that is the trace's end, not a wait.
            if refused.whole_teacher and refused.reason != "unknown_path":
                self._away = refused
                return None, None
            return about | missing_row(refused.reason, refused.detail), None
