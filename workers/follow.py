"""A short process of the trainer, followed line by line: what is not worth a checkpoint."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from workers.train import GRACE_S, LINE_BYTES_MAX, TAIL_BYTES, event_of, kill


def command(*arguments: object) -> list[str]:
    """Return the command that runs the trainer and dies with this worker."""
    trainer = [sys.executable, "-m", "trainer", *map(str, arguments)]
    return [sys.executable, "-m", "workers.leash", str(os.getpid()), *trainer]


async def follow(
    command: list[str], log: Path, hear: Callable[[dict[str, Any]], Awaitable[None]], stopping: asyncio.Event
) -> int:
    """Run it, hand every event to `hear`, and return its exit code. It is killed when the worker stops."""
    with log.open("wb") as log_file:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=log_file,
            start_new_session=True,
            limit=LINE_BYTES_MAX,
        )
        stopper = asyncio.create_task(_stop(process, stopping))
        try:
            assert process.stdout  # noqa: S101  for the type checker: it is a pipe
            async for line in process.stdout:
                await hear(event_of(line) or {})
            return await process.wait()
        finally:
            stopper.cancel()
            await kill(process, GRACE_S)


def tail(log: Path) -> str:
    """Return the end of what it wrote to its log."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        return file.read().decode(errors="replace").strip()


async def _stop(process: asyncio.subprocess.Process, stopping: asyncio.Event) -> None:
    await stopping.wait()
    await kill(process, 0)  # nothing of it is worth a wait
