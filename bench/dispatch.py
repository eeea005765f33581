"""How fast one worker asks: requests per second and CPU a request, every answer durably stored.

Beside it, against the same stub in the same run: bare HTTP clients that store nothing, and a hand-written aiohttp
script that stores with SQLAlchemy Core. The stub gets one core, whoever asks the other.

    python -m bench.dispatch                 # all cases, about nine minutes
    python -m bench.dispatch --case 64x0     # one case
"""

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.clients import CLIENTS, Core, aiohttp_client, ask
from service.models import BatchState
from service.settings import Settings
from service.spooling import Spooled
from service.store import batches, teachers
from service.store.database import Database
from service.submission import Order, accept

SERVER_CORE, CLIENT_CORE = 1, 0
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Case:
    """So many requests in flight, a teacher that answers after `latency_ms`, faults or none."""

    name: str
    in_flight: int
    latency_ms: int
    requests: int
    scenario: str = "perfect"

    @property
    def ceiling(self) -> float:
        """In flight ÷ latency: requests per second that no client can pass; infinite without latency."""
        return self.in_flight / (self.latency_ms / 1000) if self.latency_ms else float("inf")


CASES = [
    Case("64x0", 64, 0, 30_000),
    Case("256x0", 256, 0, 30_000),
    Case("1000x0", 1000, 0, 30_000),
    Case("64x200", 64, 200, 4_000),
    Case("256x200", 256, 200, 15_000),
    Case("1000x200", 1000, 200, 30_000),
    Case("64x50 faults", 64, 50, 200_000, "flaky"),
]
SLOW_CLIENT_REQUESTS = 1_500
"""httpx alone would take minutes for more."""
POLL_S = 0.25
"""Looking at the counts costs milliseconds of the worker's own core: fifty looks a second took a sixth of it."""


@dataclass(frozen=True)
class Figure:
    """What one way did in one case."""

    way: str
    per_s: float
    cpu_ms: float
    calls: float = 1.0
    """Requests sent for each answer: more than one where some brought none."""


class Stub:
    """The fake teacher as a process on its own core."""

    def __init__(self, case: Case) -> None:
        command = [sys.executable, "-m", "workers.teachers.fake", "--port", "0", "--json"]
        command += ["--scenario", case.scenario, "--latency-ms", str(case.latency_ms)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        _pin(self._process.pid, SERVER_CORE)
        assert self._process.stdout
        self.base_url: str = json.loads(self._process.stdout.readline())["base_url"]

    def __enter__(self) -> "Stub":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)

    def calls(self) -> int:
        """Return how many requests it got."""
        return int(httpx.get(self.base_url.removesuffix("/v1") + "/fake/calls").json()["calls"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [case.name for case in CASES]
    parser.add_argument("--case", action="append", choices=names, help="only these; all by default")
    parser.add_argument("--only-worker", action="store_true", help="leave out what it is compared with")
    given = parser.parse_args()
    _pin(0, CLIENT_CORE)
    for case in CASES:
        if not given.case or case.name in given.case:
            _show(case, _figures(case, given.only_worker))


def _figures(case: Case, only_worker: bool) -> list[Figure]:
    figures = []
    if not only_worker and case.scenario == "perfect":
        for name, client in CLIENTS.items():
            count = min(case.requests, SLOW_CLIENT_REQUESTS) if name == "httpx" else case.requests
            figures.append(_bare(case, name, client, count))
        figures.append(_by_hand(case))
    figures.append(_worker(case))
    return figures


def _bare(case: Case, name: str, client: Any, count: int) -> Figure:
    with Stub(case) as stub:
        return _timed(case, name, client, stub, count)


def _by_hand(case: Case) -> Figure:
    with Stub(case) as stub, tempfile.TemporaryDirectory() as folder:
        core = Core(Path(folder) / "traces.db")
        return _timed(case, "aiohttp + Core inserts", aiohttp_client, stub, case.requests, core)


def _timed(case: Case, name: str, client: Any, stub: Stub, count: int, core: Core | None = None) -> Figure:
    async def work() -> tuple[float, float]:
        async with client(f"{stub.base_url}/chat/completions", case.in_flight) as post:
            await ask(post, min(count, 2 * case.in_flight), case.in_flight)  # connections are open from here on
            cpu, start = _own_cpu_s(), time.perf_counter()
            await ask(post, count, case.in_flight, core.keep if core else lambda reply: None)
            if core:
                core.flush()
            return time.perf_counter() - start, _own_cpu_s() - cpu

    wall_s, cpu_s = _run(work())
    return Figure(name, count / wall_s, 1000 * cpu_s / count)


def _run(work: Any) -> Any:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def _worker(case: Case) -> Figure:
    """Time from the first answer to the last, by the database's own stamps: starting Python is not asking."""
    with Stub(case) as stub, tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), request_timeout_s=60)
        database = Database(settings.url())
        database.create()
        with database.write() as session:
            values = {"base_url": stub.base_url, "model": "fake", "max_concurrency": case.in_flight}
            teachers.register(session, {"name": "fake"} | values)
        prompts = Path(folder) / "prompts.jsonl"
        prompts.write_text("".join(f'{{"prompt": "What is {number} + 30?"}}\n' for number in range(case.requests)))
        batch, _ = accept(database, settings, Order(["fake"], 1, {}, {}), Spooled(prompts, ""))
        environment = os.environ | {"RETORT_DATA_DIR": folder}
        with (Path(folder) / "log.txt").open("w") as log:
            command = [sys.executable, "-m", "workers", "--kinds", "generate"]
            process = subprocess.Popen(command, env=environment, stderr=log)
        _pin(process.pid, CLIENT_CORE)
        try:
            first = _wait(database, batch.id, process, lambda done: done > 0)
            end = _wait(database, batch.id, process, lambda done: done >= case.requests)
        finally:
            process.terminate()
            process.wait(40)
            database.close()
        calls = stub.calls()
    done, cpu_s = end[0] - first[0], end[2] - first[2]
    return Figure("retort worker", done / (end[1] - first[1]), 1000 * cpu_s / done, calls / case.requests)


def _wait(database: Database, batch_id: str, process: Any, enough: Any) -> tuple[int, float, float]:
    """Return answers stored, the time and the worker's CPU seconds as soon as there are enough."""
    while process.poll() is None:
        with database.read() as session:
            batch = batches.get(session, batch_id)
            counts = batches.counts(session, batch)
        found = counts["stored"], time.perf_counter(), _cpu_s(process.pid)
        if enough(counts["stored"] + counts["failed"]) or batch.state == BatchState.COMPLETED:
            return found
        time.sleep(POLL_S)
    raise SystemExit("the worker died")


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _pin(pid: int, core: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, {core % (os.cpu_count() or 1)})


def _show(case: Case, figures: list[Figure]) -> None:
    ceiling = "" if case.ceiling == float("inf") else f", ceiling {case.ceiling:,.0f} requests/s"
    print(f"\n{case.in_flight} in flight, {case.latency_ms} ms, {case.scenario}{ceiling}")
    plain = next((figure for figure in figures if figure.way == "aiohttp + Core inserts"), None)
    for figure in figures:
        against = f"{figure.per_s / plain.per_s:6.2f} x Core" if plain else ""
        share = "" if case.ceiling == float("inf") else f"{figure.per_s / case.ceiling:6.2f} of ceiling"
        if figure.calls > 1.01:
            share += f" ({figure.per_s * figure.calls / case.ceiling:.2f} with the calls that brought nothing)"
        line = f"{figure.way:24}{figure.per_s:9,.0f}/s {figure.cpu_ms:7.3f} ms CPU  {against} {share}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
