"""Memory of API and worker while a small and a large batch go through: flat when both take the same.

    python -m bench.memory                     # 10,000 and 1,000,000 prompts
    python -m bench.memory --sizes 10000 50000

Each size gets new processes over a new database, and a fake teacher that answers at once.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bench.crew import Crew, Member
from tests.postgres import PostgresServer
from tests.processes import descendants

FLAT = 0.10
"""The large batch may take so much more than the small one."""
EVERY_S = 0.2
IN_FLIGHT = 64


@dataclass
class Seen:
    """MiB of one process over time."""

    samples: list[float] = field(default_factory=list)

    @property
    def peak(self) -> float:
        """The most it held."""
        return max(self.samples, default=0.0)

    @property
    def steady(self) -> float:
        """The median of the second half, when all is warm."""
        return statistics.median(self.samples[len(self.samples) // 2 :] or [0.0])


Figures = dict[str, Seen]
"""By what was looked at: `API, ingest`, `API, generation`, `worker, generation`."""


def rss_mib(member: Member) -> float:
    """Return the resident memory of the largest process of a member's tree."""
    found = 0
    for pid in (member.pid, *descendants(member.pid)):
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found = max([found, *(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))])
    return found / 1024


def run(prompts: int, *, postgres: bool) -> Figures:
    """Send one batch through and return what the processes held meanwhile."""
    figures = {name: Seen() for name in ("API, ingest", "API, generation", "worker, generation")}
    with tempfile.TemporaryDirectory(prefix="retort-memory-") as name:
        folder = Path(name)
        server = PostgresServer(folder) if postgres else None
        crew = Crew(folder, 1, {"reasoning_words": 6, "response_words": 4}, server.url if server else "")
        try:
            if server:
                server.start()
                server.wait()
            crew.start("teacher", IN_FLIGHT)
            file = folder / "prompts.jsonl"
            with file.open("w") as out:
                out.writelines(f'{{"prompt": "What is {number} plus {number % 97}?"}}\n' for number in range(prompts))
            with ThreadPoolExecutor(1) as pool:
                sent = pool.submit(_send, crew, file)
                while not sent.done():
                    figures["API, ingest"].samples.append(rss_mib(crew.api))
                    time.sleep(EVERY_S)
            for done in _progress(crew, sent.result()):
                figures["API, generation"].samples.append(rss_mib(crew.api))
                figures["worker, generation"].samples.append(rss_mib(crew.workers[0]))
                if sys.stderr.isatty():
                    print(f"\r{done:,} of {prompts:,}", end="", file=sys.stderr)
        finally:
            crew.stop()
            if server:
                server.stop()
    return figures


def _send(crew: Crew, file: Path) -> str:
    with file.open("rb") as body:
        answer = crew.http.post(f"{crew.url}/api/batches?teacher=teacher", content=body, timeout=None)
    answer.raise_for_status()
    return answer.json()["id"]


def _progress(crew: Crew, batch_id: str) -> Iterator[int]:
    """Yield how many answers are stored, now and then, until the batch has ended."""
    while True:
        time.sleep(EVERY_S)
        batch = crew.http.get(f"{crew.url}/api/batches/{batch_id}").json()
        state, counts = batch["state"], batch["counts"]
        yield counts["stored"]
        if state == "completed" and counts["stored"] == counts["total"]:
            return
        if state != "in_progress":
            raise RuntimeError(f"the batch ended as {state}: {counts}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when memory is flat, else 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs=2, default=[10_000, 1_000_000], help="prompts of the two batches")
    parser.add_argument("--postgres", action="store_true", help="on a Postgres of its own rather than SQLite")
    given = parser.parse_args(arguments)
    found = {}
    for size in given.sizes:
        began = time.monotonic()
        found[size] = run(size, postgres=given.postgres)
        print(f"{size:,} prompts: {time.monotonic() - began:.0f} s")
    small, large = (found[size] for size in given.sizes)
    is_flat = True
    print(f"\n{'MiB':<20}" + "".join(f"{size:>16,} prompts" for size in given.sizes) + f"{'ratio':>10}")
    for name in small:
        ratio = large[name].peak / small[name].peak
        is_flat = is_flat and ratio <= 1 + FLAT
        shown = "".join(f"{each[name].steady:>12,.0f}, peak {each[name].peak:>6,.0f}" for each in (small, large))
        print(f"{name:<20}{shown}{ratio:>10.2f}")
    print("flat" if is_flat else f"NOT FLAT: a peak grew by more than {FLAT:.0%}")
    return 0 if is_flat else 1


if __name__ == "__main__":
    raise SystemExit(main())
