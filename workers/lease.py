"""Holding on to a job while something long is done for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from service.models import Job
from service.store import queue
from workers.database import AsyncDatabase

CHECK_S = 2.0
"""Renewed this often although the lease is longer: it is how a cancellation is noticed."""


async def hold(database: AsyncDatabase, job: Job, lease_s: float, *, every_s: float) -> None:
    """Renew the job's lease for ever. Raises LeaseLost when it passed to another worker or was cancelled."""
    while True:
        await asyncio.sleep(every_s)
        await database.write(queue.keep, job, lease_s=lease_s)


async def held(database: AsyncDatabase, job: Job, lease_s: float, work: Coroutine[Any, Any, None]) -> None:
    """Do `work` while renewing the lease every `CHECK_S` seconds, a third of it at most; what either raises goes up.

    When the lease is lost, `work` is cancelled, and this returns after it has cleaned up.
    """
    every_s = min(CHECK_S, lease_s / 3)
    keeper = asyncio.create_task(hold(database, job, lease_s, every_s=every_s))
    worker = asyncio.create_task(work)
    try:
        await asyncio.wait((keeper, worker), return_when=asyncio.FIRST_COMPLETED)
    finally:
        keeper.cancel()
        worker.cancel()
        await asyncio.gather(keeper, worker, return_exceptions=True)
    (worker if keeper.cancelled() else keeper).result()
