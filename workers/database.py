"""The database as the worker uses it: transactions run in threads, and wait while the database is away."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from service.store.database import Database
from service.store.generation import DatabaseAway

log = logging.getLogger(__name__)
Result = TypeVar("Result")

READERS, WRITERS = 4, 4
"""On Postgres four commits at once are more than one event loop can feed."""
WRITERS_EMBEDDED = 1
"""SQLite has one writer at a time, and a second one would wait for it by sleeping in ever longer steps."""
PAUSE_MIN_S, PAUSE_MAX_S = 0.1, 2.0


def patiently(
    begin: Callable[[], AbstractContextManager[Any]], work: Callable[..., Result], *args: Any, **options: Any
) -> Result:
    """Return `work(session, …)` done in one transaction, begun again for as long as the database is away.

    A restart, a failover or a full disk costs time and no answers: what is to be stored waits in memory.
    """
    pause_s = PAUSE_MIN_S
    while True:
        try:
            with begin() as session:
                return work(session, *args, **options)
        except DatabaseAway as error:
            log.warning("the database is away, next try in %.1f s: %s", pause_s, str(error).partition("\n")[0])
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)


class AsyncDatabase:
    """A Database whose transactions run in a few threads, so that the event loop never waits for a disk.

    They log under the ids of whoever calls.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        writers = WRITERS_EMBEDDED if database.embedded else WRITERS
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="database-read")
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="database-write")

    async def read(self, work: Callable[..., Result], *args: Any, **options: Any) -> Result:
        """Return `work(session, …)`, run in a read session."""
        call = partial(patiently, self.database.read, work, *args, **options)
        return await asyncio.get_running_loop().run_in_executor(self._readers, copy_context().run, call)

    async def write(self, work: Callable[..., Result], *args: Any, **options: Any) -> Result:
        """Return `work(session, …)`, run and committed in a write session."""
        call = partial(patiently, self.database.write, work, *args, **options)
        return await asyncio.get_running_loop().run_in_executor(self._writers, copy_context().run, call)
