"""`python -m workers`: one worker, until it is told to stop. Any number may run, on any number of machines."""

import argparse
import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from service import logs, memory, tracing
from service.models import JobKind
from service.settings import Settings
from service.store.database import Database
from service.store.migrate import NewerDatabase
from workers.worker import Worker


def main() -> None:
    """Read the command line and the environment; work."""
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="folder of database, exports and runs; also RETORT_DATA_DIR")
    kinds = ",".join(JobKind)
    parser.add_argument("--kinds", default=kinds, help=f"kinds of jobs to do, from {kinds}; all by default")
    parser.add_argument(
        "--alive-file", type=Path, help="touched every few seconds while all is well, for whoever looks after it"
    )
    given = parser.parse_args()
    try:
        wanted = frozenset(JobKind(kind) for kind in given.kinds.split(","))
    except ValueError as error:
        parser.error(f"--kinds: {error}; known: {kinds}")
    settings = Settings(data_dir=given.data_dir) if given.data_dir else Settings()
    logs.set_up(settings, "worker")
    tracing.start("worker")
    database = Database(settings.url())
    try:
        database.create()
    except NewerDatabase as error:
        parser.exit(1, f"{error}\n")
    memory.settle()
    _runner()(Worker(settings, database, wanted, given.alive_file).run())
    database.close()
    tracing.stop()


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Return what runs the worker: uvloop where it is installed, which takes a third off the cost of a request."""
    with suppress(ImportError):
        import uvloop

        return uvloop.run
    return asyncio.run


if __name__ == "__main__":
    main()
