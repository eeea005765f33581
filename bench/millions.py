"""Ten million short traces on Postgres: are near-duplicates found, at what price a trace, and what comes of more later?

    python -m bench.millions                        # 10,000,000 traces: an hour and a half, and 30 GB of disk
    python -m bench.millions --traces 200000        # a few minutes
    python -m bench.millions --folder /big/disk --minutes 90

A Postgres of its own is filled through COPY, four answers to each prompt, one prompt in ten an earlier one asked and
answered again with a word changed here and there. Then a worker process curates them as it does for anybody (`length`,
`near_duplicate`), and once more after a twentieth came in as another batch. The truth is the exact Jaccard similarity
of the sets of five-word phrases.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sqlmodel import Session, col, func, select, text

from bench.crew import Member
from bench.near_duplicates import THRESHOLD, VOCABULARY, jaccard
from service.api.shapes.datasets import VersionIn
from service.caller import ANYBODY, Caller
from service.curation import order
from service.models import Batch, BatchState, DatasetVersion, VerdictRow, VersionState
from service.scopes import Scope
from service.settings import Settings
from service.store import datasets, teachers
from service.store.database import Database
from tests.postgres import PostgresServer

ANSWERS = 4
"""To each prompt."""
ASKED_WORDS, ANSWER_WORDS, RESPONSE_WORDS = 12, 46, 6
PLANTED = 0.1
EDITS_MAX = 2
"""Words changed in a copy: none or one leave it above the threshold, two mostly do not."""
EDITS_SEED = 2**40
"""Added to the number of a prompt, so that no other prompt's words come from the same chance."""
MORE = 20
"""One trace in so many comes later."""
LOOK_EVERY_S = 2.0
TELL_EVERY_S = 60.0
OPTIONS = ("shared_buffers=1GB", "max_wal_size=4GB", "work_mem=64MB", "maintenance_work_mem=256MB")
"""What whoever keeps ten million rows sets; the defaults are those of a machine with 256 MB."""
RECIPE: dict[str, Any] = {"filters": [{"kind": "length", "tokens_min": 8}, {"kind": "near_duplicate"}]}
PROMPTS_SQL = "COPY prompt (id, batch_id, key, line, messages, category, source, license) FROM STDIN"
TRACES_SQL = """
    COPY trace (id, batch_id, prompt_id, teacher, sample_index, reasoning, response, finish_reason, completion_tokens,
                raw, created_at) FROM STDIN
"""


class Planted(NamedTuple):
    """The traces that are nearly the same as an earlier one, and that one, by id."""

    copies: "array[int]"
    twins: "array[int]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, help="where Postgres and all else lie meanwhile; the system's own")
    parser.add_argument("--minutes", type=float, default=600, help="stop after so many and say how far it came")
    given = parser.parse_args()
    stop_at = time.monotonic() + 60 * given.minutes
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    with tempfile.TemporaryDirectory(prefix="retort-millions-", dir=given.folder) as name:
        folder = Path(name)
        server = PostgresServer(folder, *OPTIONS)
        try:
            server.start()
            server.wait()
            settings = Settings(data_dir=folder / "retort", database_url=server.url)
            database = Database(settings.url())
            database.create()
            _play(folder, database, settings, given.traces, stop_at)
            database.close()
        finally:
            server.stop()


def _play(folder: Path, database: Database, settings: Settings, traces: int, stop_at: float) -> None:
    first, more = traces // ANSWERS, traces // ANSWERS // MORE
    batch_ids, planted = list[str](), Planted(array("q"), array("q"))
    for prompts in (range(first), range(first, first + more)):
        began = time.monotonic()
        batch_id, new = fill(database, prompts)
        print(f"{len(prompts) * ANSWERS:,} traces stored in {time.monotonic() - began:,.0f} s", flush=True)
        batch_ids.append(batch_id)
        planted.copies.extend(new.copies)
        planted.twins.extend(new.twins)
        version = _curated(folder, database, settings, batch_ids, stop_at)
        _show(database, settings, version, planted)
        if version.state != VersionState.SEALED:
            return


def fill(database: Database, prompts: range) -> tuple[str, Planted]:
    """Store an ended batch of prompts with their answers; return its id and what is planted in it."""
    batch = Batch(teachers=["made"], n=ANSWERS, state=BatchState.COMPLETED, prompts=len(prompts))
    values = {"name": "made", "base_url": "http://127.0.0.1:9/v1", "model": "made", "license": "apache-2.0"}
    with database.write() as session:
        teachers.register(session, values)
        session.add(batch)
    planted = Planted(array("q"), array("q"))
    with (
        _unchecked(database) as to_prompts,
        _unchecked(database) as to_traces,
        to_prompts.copy(PROMPTS_SQL) as asked,
        to_traces.copy(TRACES_SQL) as answered,
    ):
        for number in prompts:
            _write(asked, answered, batch.id, number, planted)
    return batch.id, planted


@contextmanager
def _unchecked(database: Database) -> Iterator[Any]:
    """Yield a cursor for bulk writing: no row is looked up in the table it points to, which would double the time."""
    connection = database.engine.raw_connection()
    driver: Any = connection.driver_connection
    driver.autocommit = True
    with driver.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        yield cursor
        for table in ("prompt", "trace"):
            cursor.execute(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))")
            cursor.execute(f"ANALYZE {table}")
    connection.invalidate()


def _write(asked: Any, answered: Any, batch_id: str, number: int, planted: Planted) -> None:
    """Write a prompt and its answers."""
    original, words = _words(number)
    if original != number and _words(original)[0] == original:
        words = _words(original)[1]
    else:
        original = number
    messages = json.dumps([{"role": "user", "content": " ".join(words[0])}])
    asked.write_row((number + 1, batch_id, str(number), number + 1, messages, "", "", "own"))
    edits = random.Random(number + EDITS_SEED)
    for index, answer in enumerate(words[1:]):
        trace_id = number * ANSWERS + index + 1
        if original != number:
            before, answer = answer, _edited(edits, answer)
            if jaccard(words[0] + answer, words[0] + before) >= THRESHOLD:
                planted.copies.append(trace_id)
                planted.twins.append(original * ANSWERS + index + 1)
        texts = " ".join(answer[:-RESPONSE_WORDS]), " ".join(answer[-RESPONSE_WORDS:])
        row = (trace_id, batch_id, number + 1, "made", index, *texts, "stop", len(answer), b"", 0.0)
        answered.write_row(row)


def _words(number: int) -> tuple[int, list[list[str]]]:
    """Return the prompt that this one is to be a copy of, itself where of none, and words for it and its answers."""
    chosen = random.Random(number)
    is_copy, original = chosen.random() < PLANTED, int(chosen.random() * number)
    every = chosen.choices(VOCABULARY, k=ASKED_WORDS + ANSWERS * ANSWER_WORDS)
    starts = range(ASKED_WORDS, len(every), ANSWER_WORDS)
    words = [every[:ASKED_WORDS], *(every[start : start + ANSWER_WORDS] for start in starts)]
    return (original if is_copy else number), words


def _edited(edits: random.Random, words: list[str]) -> list[str]:
    changed = words[:]
    for _ in range(edits.randint(0, EDITS_MAX)):
        changed[edits.randrange(len(changed))] = edits.choice(VOCABULARY)
    return changed


def _curated(
    folder: Path, database: Database, settings: Settings, batch_ids: list[str], stop_at: float
) -> DatasetVersion:
    """Order a version and have a worker make it, telling how far it is; return it sealed, or as far as it came."""
    body = VersionIn(name="bench", batches=batch_ids, recipe=RECIPE, intended_use="research")
    ordered, _ = order(database, body, Caller(Scope.ADMIN, ANYBODY, None, ""))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RETORT_", "DATABASE_URL"))}
    env = clean | {"RETORT_DATA_DIR": str(settings.data_dir), "RETORT_DATABASE_URL": settings.database_url}
    worker = Member("worker", [sys.executable, "-m", "workers", "--kinds", "curate"], env, folder / "worker.log")
    worker.start()
    watch = _Watch(worker, time.monotonic())
    try:
        while True:
            time.sleep(LOOK_EVERY_S)
            with database.read() as session:
                version = session.get_one(DatasetVersion, ordered.id)
                done = datasets.progress(session, version)["done"]
            watch.look(done, judged=bool(version.funnel))
            if version.state == VersionState.SEALED:
                watch.end(version)
                return version
            if version.state != VersionState.CURATING or not worker.runs:
                raise RuntimeError(
                    f"{version.state}, {version.reason}: {version.detail}\n{worker.log.read_text()[-2000:]}"
                )
            if time.monotonic() > stop_at:
                print(f"stopped: {watch.so_far}", flush=True)
                return version
    finally:
        worker.stop()


class _Watch:
    """What a curation takes: seconds of the clock and of the worker's CPU, until all is judged, and until the end."""

    def __init__(self, worker: Member, began: float) -> None:
        self._worker, self._began, self._told = worker, began, began
        self._last = (0.0, 0)
        self._judged: tuple[float, float] | None = None
        self._now = (0.0, 0.0, 0)
        self._peak_mib = 0.0

    @property
    def so_far(self) -> str:
        """How far it is."""
        seconds, cpu_s, done = self._now
        phase = f"all judged after {self._judged[0]:,.0f} s, exporting" if self._judged else f"{done:,} traces judged"
        return f"{phase}; {seconds:,.0f} s, {cpu_s:,.0f} s of CPU, peak {self._peak_mib:,.0f} MiB"

    def look(self, done: int, *, judged: bool) -> None:
        """Take note of how far it is; tell it now and then."""
        now = time.monotonic()
        if self._worker.runs:
            cpu_s, self._peak_mib = _used(self._worker.pid)
            self._now = now - self._began, cpu_s, done
        if judged and self._judged is None:
            self._judged = self._now[:2]
        if now - self._told >= TELL_EVERY_S:
            cpu_before, before = self._last
            new = max(1, done - before)
            each = f", {1e6 * (self._now[1] - cpu_before) / new:.0f} µs of CPU each" if done > before else ""
            print(f"  {self.so_far}{each}", flush=True)
            self._told, self._last = now, (self._now[1], done)

    def end(self, version: DatasetVersion) -> None:
        """Show all of it."""
        seconds, cpu_s, _ = self._now
        judged_s, judged_cpu_s = self._judged or (seconds, cpu_s)
        each = 1e6 / version.input
        print(
            f"{version.dataset}@{version.number}: {version.input:,} traces, {version.kept:,} kept, {seconds:,.0f} s\n"
            f"  judged:   {judged_s:8,.0f} s, {each * judged_s:5.0f} µs a trace, {each * judged_cpu_s:5.0f} of CPU\n"
            f"  exported: {seconds - judged_s:8,.0f} s, {each * (seconds - judged_s):5.0f} µs a trace, "
            f"{each * (cpu_s - judged_cpu_s):5.0f} of CPU\n"
            f"  peak memory of the worker: {self._peak_mib:,.0f} MiB",
            flush=True,
        )


def _used(pid: int) -> tuple[float, float]:
    """Return the seconds of CPU and the peak MiB of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    peak = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), peak / 1024


def _show(database: Database, settings: Settings, version: DatasetVersion, planted: Planted) -> None:
    """Show how much of what was planted was found as far as it is judged, and what it all takes on the disk."""
    with database.read() as session:
        found, last = _rejected(session, version)
        size = session.connection().execute(text("SELECT pg_database_size(current_database())")).scalar_one()
    wanted = {copy: twin for copy, twin in zip(planted.copies, planted.twins, strict=True) if copy <= last}
    right = sum(copy in wanted for copy in found)
    same = sum(wanted.get(copy) == twin for copy, twin in found.items())
    print(
        f"  planted {len(wanted):,}: precision {right / max(1, len(found)):.4f}, "
        f"recall {right / max(1, len(wanted)):.4f}, named with their original {same / max(1, right):.4f}"
    )
    kept, exported = (_bytes(settings.data_dir / name) for name in ("sketches", "datasets"))
    print(
        f"  on the disk: database {size / 2**30:.2f} GiB, kept for the next time {kept / 2**30:.2f}, "
        f"exports {exported / 2**30:.2f}",
        flush=True,
    )


def _rejected(session: Session, version: DatasetVersion) -> tuple[dict[int, int], int]:
    """Return each near-duplicate with its twin, by id, and the last id that is judged at all."""
    mine = col(VerdictRow.version_id) == version.id
    found = session.exec(
        select(VerdictRow.trace_id, VerdictRow.evidence).where(mine, col(VerdictRow.filter) == "near_duplicate")
    )
    last = session.exec(select(func.max(VerdictRow.trace_id)).where(mine)).one()
    return {trace_id: evidence["twin"] for trace_id, evidence in found if evidence}, last or 0


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
