"""What an API process counts of teachers goes into the database, as what workers count does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.concurrency import run_in_threadpool

from service.counting import NEWS
from service.store import figures
from service.store.database import Database
from service.store.generation import DatabaseAway

EVERY_S = 5.0


@asynccontextmanager
async def told(database: Database) -> AsyncIterator[None]:
    """Store what is counted while the block runs, and once more at its end."""
    teller = asyncio.create_task(_tell(database))
    try:
        yield
    finally:
        teller.cancel()
        with suppress(asyncio.CancelledError):
            await teller
        await run_in_threadpool(_store, database)


async def _tell(database: Database) -> None:
    while True:
        await asyncio.sleep(EVERY_S)
        await run_in_threadpool(_store, database)


def _store(database: Database) -> None:
    news = NEWS.take()
    if not news:
        return
    try:
        with database.write() as session:
            figures.add(session, news)
    except DatabaseAway:
        NEWS.put_back(news)
