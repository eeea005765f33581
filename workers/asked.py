"""Asking a teacher from within a curation: its thread waits, the worker's event loop talks."""

import asyncio
import itertools
import logging
import random
import threading
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from filters.judged import Question, Replies
from service.errors import NotFound
from service.models import Teacher
from service.settings import Settings
from service.store import teachers
from service.teachers.protocol import Completion, Sampling, TeacherBusy, TeacherError, TeacherRefused
from service.teachers.protocol import Teacher as Client
from service.teachers.retry import ATTEMPTS_MAX, next_attempt
from workers.database import AsyncDatabase
from workers.gate import DOWN_MAX_S
from workers.teachers import TEACHERS

log = logging.getLogger(__name__)
T = TypeVar("T")

AT_ONCE = 32
"""Questions under way, where the teacher's own limit is not lower; generation on the same servers goes on beside."""
LOOK_EVERY_S = 0.2
"""Between two looks whether the worker stops."""
CHANCE = random.SystemRandom()


class Interrupted(Exception):
    """The worker stops; the curation begins anew elsewhere."""


class Unavailable(Exception):
    """The teacher cannot be asked before a person changes something: the curation fails, no sample is rejected."""


class Asked:
    """An `Asker` for the thread of one curation."""

    def __init__(
        self, database: AsyncDatabase, settings: Settings, loop: asyncio.AbstractEventLoop, stop: threading.Event
    ) -> None:
        self._database, self._settings, self._loop, self._stop = database, settings, loop, stop

    def answers(self, teacher: str, questions: Iterable[Question]) -> Iterator[Replies]:
        """Yield the replies to each question, in order. Raises Interrupted and Unavailable."""
        talk = self._result(self._start(self._talk(teacher)))
        window: deque[Future[Replies]] = deque()
        spent = asked = 0
        try:
            for question in questions:
                window.append(self._start(talk.ask(question)))
                asked += question.n
                if len(window) >= 2 * talk.at_once:
                    yield (replies := self._result(window.popleft()))
                    spent += replies.tokens
            while window:
                yield (replies := self._result(window.popleft()))
                spent += replies.tokens
        finally:
            for future in window:
                future.cancel()
            asyncio.run_coroutine_threadsafe(talk.close(), self._loop)
            log.info("teacher %s was asked %s times to judge, for %s tokens", teacher, asked, spent)

    def _start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _result(self, future: "Future[T]") -> T:
        while not future.done():
            if self._stop.is_set():
                future.cancel()
                raise Interrupted
            wait([future], LOOK_EVERY_S)
        return future.result()

    async def _talk(self, name: str) -> "Talk":
        try:
            return Talk(await self._database.read(teachers.get, name), self._settings)
        except NotFound as error:
            raise Unavailable(error.detail) from error


class Talk:
    """One teacher with its servers, asked in turn."""

    def __init__(self, teacher: Teacher, settings: Settings) -> None:
        self.at_once = max(1, min(AT_ONCE, teacher.max_concurrency))
        self._name, self._attempts_max = teacher.name, settings.attempts_max
        self._slots = asyncio.Semaphore(self.at_once)
        try:
            self._clients: list[Client] = [
                TEACHERS[teacher.backend](
                    address,
                    teacher.model,
                    api_key_env=teacher.api_key_env,
                    timeout_s=settings.request_timeout_s,
                    token_ids=False,
                    networks=settings.networks(),
                    name=teacher.name,
                )
                for address in dict.fromkeys([teacher.base_url, *teacher.replicas])
            ]
        except (KeyError, ValueError) as error:
            raise Unavailable(f"teacher '{teacher.name}' cannot be asked: {error}") from error
        self._next = itertools.cycle(self._clients)

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.close()

    async def ask(self, question: Question) -> Replies:
        """Return the replies to one question; fewer, with the reason, where the teacher gives no more."""
        texts: list[str] = []
        tokens = 0
        while len(texts) < question.n:
            try:
                completions = await self._complete(question, question.n - len(texts))
            except TeacherError as error:
                return Replies(tuple(texts), tokens, str(error))
            texts.extend(each.response for each in completions)
            tokens += (completions[0].prompt_tokens or 0) + sum(each.completion_tokens or 0 for each in completions)
        return Replies(tuple(texts), tokens)

    async def _complete(self, question: Question, n: int) -> list[Completion]:
        """Wait as long as the server is not there; try other faults again a few times."""
        faults = 0
        while True:
            try:
                async with self._slots:
                    return await next(self._next).complete(question.messages, Sampling(question.params), n)
            except TeacherBusy as busy:
                faults += not busy.away
                if faults >= self._attempts_max:
                    raise
                pause_s = next_attempt(min(max(faults, 1), ATTEMPTS_MAX - 1), busy, CHANCE) or 0.0
                await asyncio.sleep(min(pause_s, DOWN_MAX_S) if busy.away else pause_s)
            except TeacherRefused as refused:
                if refused.whole_teacher:
                    raise Unavailable(f"teacher '{self._name}' refuses to be asked: {refused}") from refused
                raise
