"""Running arms, one on each core, each in a process that has imported everything once."""

import ctypes
import math
import multiprocessing
import os
import queue
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.experiments.arm import Result, measure, read
from bench.experiments.place import Place
from bench.experiments.questions import ARMS, Arm, leans_on

LOOK_EVERY_S = 0.3
PR_SET_PDEATHSIG = 1
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""One thread a training: two of these small ones side by side are faster than one after the other with two threads."""

Job = tuple[str, int]
"""Arm and seed."""
Hear = Callable[[Job, str | Result | None], None]
"""Hears of a job how far it is, its result, or None where it failed."""

_told: Any = None


@dataclass
class Workers:
    """Who runs arms, so many at a time."""

    pool: Executor
    count: int
    told: Any = None
    """Queue of what they say of their progress."""

    def pass_on(self, hear: Hear) -> None:
        """Let somebody hear what has been said since."""
        while self.told is not None:
            try:
                hear(*self.told.get_nowait())
            except queue.Empty:
                return


def run(
    place: Place,
    arms: Iterable[Arm],
    seeds: Iterable[int],
    workers: Workers,
    hear: Hear,
    within_s: float = math.inf,
) -> dict[Job, Result]:
    """Run what has no result yet, arm by arm, and return all results; what failed is missing among them.

    After `within_s` nothing is begun any more.
    """
    until = time.monotonic() + within_s
    seeds = list(seeds)
    jobs = [(arm.name, seed) for arm in arms for seed in seeds]
    results = {job: found for job in jobs if (found := read(place, ARMS[job[0]], job[1]))}
    for job, found in results.items():
        hear(job, found)
    waiting = [job for job in jobs if job not in results]
    running: dict[Future[Result | None], Job] = {}
    while waiting or running:
        if time.monotonic() > until:
            waiting.clear()
        for job in [job for job in waiting if _ready(job, results)][: workers.count - len(running)]:
            waiting.remove(job)
            running[workers.pool.submit(_work, place, *job)] = job
        if not running:
            break  # what is left stands on what failed
        done, _ = wait(running, LOOK_EVERY_S, FIRST_COMPLETED)
        workers.pass_on(hear)
        for future in done:
            job, found = running.pop(future), future.result()
            hear(job, found)
            if found:
                results[job] = found
    return results


def _ready(job: Job, results: dict[Job, Result]) -> bool:
    return all((name, job[1]) in results for name in leans_on(ARMS[job[0]]))


@contextmanager
def processes(count: int, log: Path) -> Iterator[Workers]:
    """Start as many processes as are needed, at most `count`; all end with the context, or with this process."""
    os.environ.update(ENVIRONMENT)
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    with ProcessPoolExecutor(count, context, _begin, (os.getpid(), told, log)) as pool:
        yield Workers(pool, count, told)


def _begin(parent: int, told: Any, log: Path) -> None:
    """Begin a process of the pool: it does not outlive the one that started it, and what it prints goes to the log."""
    global _told
    _told = told
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end is this one's
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _work(place: Place, arm: str, seed: int) -> Result | None:
    def say(said: str) -> None:
        if said and _told is not None:
            _told.put(((arm, seed), said))

    try:
        return measure(place, ARMS[arm], seed, say)
    except Exception:  # noqa: BLE001 - one arm that fails does not take the others with it; a file has all of it
        told = place.run(arm, seed).with_suffix(".failed")
        told.parent.mkdir(parents=True, exist_ok=True)
        told.write_text(traceback.format_exc(), encoding="utf-8")
        return None
