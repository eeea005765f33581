"""How fast a version is exported, and in how much memory, beside plain pyarrow and `datasets` from the same database.

    python -m bench.export                          # 100,000 rows, about two minutes on two cores
    python -m bench.export --rows 1000000 --ways retort --repeats 1

Each way runs in a process of its own. Plain pyarrow reads the rows in one query and writes them to one file: no splits,
no hashes, no card. `datasets`, of the extra `train`, makes its own Arrow copy first, as it always does.
"""

import argparse
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from bench.curation import WORDS
from service.models import Batch, BatchState, Dataset, DatasetVersion, Trace, VerdictRow
from service.settings import Settings
from service.store import batches, curation, ledger, teachers
from service.store.database import Database, insert_new
from workers.attempt import PAGE_ROWS
from workers.export import GROUP_ROWS
from workers.rows import KEPT, REPEATED
from workers.seal import write_folder
from workers.splits import split_of
from workers.verdicts import NO_VERDICT

ANSWERS = 4
"""To each prompt."""
ROWS = 20_000
"""Stored in one transaction."""
TEXTS = 5_000
"""Different ones: more than a row group holds, so that packing finds few repetitions."""
QUERY = """
    SELECT prompt.messages, trace.id, trace.prompt_id, prompt.category, trace.teacher, prompt.license, trace.reasoning,
           trace.response, prompt.reference, prompt.verifier, prompt.source, trace.sample_index, trace.finish_reason,
           trace.prompt_tokens, trace.completion_tokens, trace.batch_id, prompt.meta
    FROM trace JOIN prompt ON prompt.id = trace.prompt_id JOIN verdict ON verdict.trace_id = trace.id
    WHERE verdict.version_id = 1 AND verdict.outcome = 'keep'
    ORDER BY trace.prompt_id, trace.teacher, trace.sample_index
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--ways", nargs="+", choices=sorted(WAYS), default=["retort", "pyarrow", "datasets"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.data:
        _one(given.ways[0], given.data)
        return
    with tempfile.TemporaryDirectory() as name:
        fill(Path(name), given.rows)
        measured: dict[str, list[tuple[float, float]]] = {way: [] for way in given.ways}
        for _ in range(given.repeats):
            for way in given.ways:
                command = [sys.executable, "-m", "bench.export", "--ways", way, "--data", name]
                told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
                measured[way].append((float(told[0]), float(told[1])))
    _show(given.rows, measured)


def _show(rows: int, measured: dict[str, list[tuple[float, float]]]) -> None:
    seconds = {way: statistics.median(taken for taken, _ in runs) for way, runs in measured.items()}
    for way, runs in measured.items():
        beside = f", {seconds['pyarrow'] / seconds[way]:.2f} of plain pyarrow" if "pyarrow" in seconds else ""
        print(f"{way:9} {rows / seconds[way]:9,.0f} rows/s{beside}, peak {max(peak for _, peak in runs):,.0f} MiB")


def _one(way: str, data: Path) -> None:
    """Print the seconds that one way takes, and the peak of this process in MiB."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=data) as name:
        WAYS[way](data, Path(name))
        taken = time.perf_counter() - start
    # Not ru_maxrss: that one begins with what the process had that started this one.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(taken, int(line.split()[1]) / 1024)


def retort(data: Path, out: Path) -> None:
    """Export the version as a curation does, card and manifest included."""
    database = Database(Settings(data_dir=data).url())
    with database.read() as session:
        version = session.get_one(DatasetVersion, 1)
        known, made_by = curation.batches_of(session, version), curation.teachers(session)
        (span,) = curation.spans(session, version.batches)

    def pages() -> Iterator[ledger.LedgerPage]:
        after = None
        while True:
            with database.read() as session:
                stretch = curation.stretch(session, span, after=after, limit=PAGE_ROWS)
                page = ledger.page(session, 1, stretch) if stretch else None
            if stretch is None or page is None:
                return
            yield page
            after = stretch.until

    write_folder(out / "v1", version, pages(), [], made_by, known, None)


def pyarrow(data: Path, out: Path) -> None:
    """Write the rows a group at a time, with the same columns and compression."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = sqlite3.connect(data / "retort.db").execute(QUERY)
    options: dict[str, Any] = {"compression": "zstd", "use_dictionary": REPEATED}
    with pq.ParquetWriter(out / "all.parquet", KEPT, **options) as writer:
        while found := rows.fetchmany(GROUP_ROWS):
            made = [_row(*row) for row in found]
            columns = {name: [row[name] for row in made] for name in KEPT.names}
            writer.write_table(pa.Table.from_pydict(columns, schema=KEPT))


def datasets(data: Path, out: Path) -> None:
    """Give the rows to `datasets` one by one, and let it write them."""
    from datasets import Dataset as Rows
    from datasets import Features, disable_progress_bars

    def rows() -> Iterator[dict[str, Any]]:
        for row in sqlite3.connect(data / "retort.db").execute(QUERY):
            yield _row(*row)

    disable_progress_bars()
    features = Features.from_arrow_schema(KEPT)
    made: Any = Rows.from_generator(rows, features=features, cache_dir=str(out / "cache"))
    made.to_parquet(str(out / "all.parquet"))


WAYS: dict[str, Callable[[Path, Path], None]] = {"retort": retort, "pyarrow": pyarrow, "datasets": datasets}


def _row(messages: str, *values: Any) -> dict[str, Any]:
    """Return one exported row from one row of `QUERY`."""
    row = dict(zip([name for name in KEPT.names if name not in ("prompt", "completion")], values, strict=True))
    answer = {"role": "assistant", "content": row["response"], "reasoning_content": row["reasoning"] or None}
    return row | {"prompt": orjson.loads(messages), "completion": [answer]}


def fill(data: Path, rows: int) -> None:
    """Store a batch of so many answers, and a version whose ledger keeps all of them."""
    chosen = random.Random(5)
    database = Database(Settings(data_dir=data).url())
    database.create()
    texts = [" ".join(chosen.choices(WORDS, k=chosen.randint(60, 240))) for _ in range(TEXTS)]
    batch = Batch(teachers=["made"], n=ANSWERS, state=BatchState.COMPLETED)
    split = {"eval": 0.05, "test": 0.05}
    values = {"name": "made", "base_url": "http://127.0.0.1:9/v1", "model": "made", "license": "apache-2.0"}
    with database.write() as session:
        teachers.register(session, values)
        session.add_all([batch, Dataset(name="made")])
        session.flush()
        version = {"recipe": {"filters": []}, "intended_use": "research", "split": split, "batches": [batch.id]}
        session.add(DatasetVersion(id=1, dataset="made", number=1, **version))
    for start in range(0, rows, ROWS):
        places = range(start, min(start + ROWS, rows))
        asked = [
            f"{number}: {chosen.choice(texts)[:160]}?" for number in range(start // ANSWERS, places[-1] // ANSWERS + 1)
        ]
        prompts = [_prompt(start // ANSWERS + line, text) for line, text in enumerate(asked)]
        splits = [split_of(text, split) for text in asked]
        with database.write() as session:
            batches.add_prompts(session, batch, prompts)
            insert_new(session, Trace, [_trace(chosen, batch.id, place, texts) for place in places])
            # A fresh database numbers prompts and traces from 1.
            said = [NO_VERDICT | {"version_id": 1, "trace_id": place + 1} for place in places]
            judged = [row | {"split": splits[number // ANSWERS]} for number, row in enumerate(said)]
            insert_new(session, VerdictRow, judged)
    database.close()


def _prompt(line: int, text: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"key": str(line), "line": line, "messages": messages, "reference": str(line), "license": "own"}


def _trace(chosen: random.Random, batch_id: str, place: int, texts: list[str]) -> dict[str, Any]:
    return {
        "batch_id": batch_id,
        "prompt_id": place // ANSWERS + 1,
        "teacher": "made",
        "sample_index": place % ANSWERS,
        "parent_id": None,
        "reasoning": f"{place}: {chosen.choice(texts)}",
        "response": f"So the answer is {place}.",
        "finish_reason": "stop",
        "completion_tokens": 200,
        "raw": b"",
        "created_at": time.time(),
    }


if __name__ == "__main__":
    main()
