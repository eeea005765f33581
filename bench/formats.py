"""Rows a second and peak memory of what reads or makes JSON lines: export formats, and an import, at a size of choice.

    python -m bench.formats --rows 1000000

Half of the rows are kept, half rejected as wrong, two and two of a prompt, so that `preference` pairs them all. Each
way runs in a process of its own; the peak is that of the process with everything imported.
"""

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from bench.curation import WORDS
from filters.manifest import Manifest
from service.exports import FORMATS
from service.exports.form import Wish
from service.exports.sealed import Sealed
from service.formats.detect import Format
from service.importing import Provenance, take_in
from service.imports import SOURCES
from service.settings import Settings
from service.spooling import Spooled
from service.store.database import Database
from workers.export import GROUP_ROWS
from workers.rows import KEPT, REJECTED, REPEATED

TEXTS = 5_000
BATCH = "batch_made"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--ways", nargs="+", choices=["import", *FORMATS], default=["messages", "preference", "import"])
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.data:
        _one(given.ways[0], given.data)
        return
    with tempfile.TemporaryDirectory() as name:
        seal(Path(name), given.rows)
        for way in given.ways:
            command = [sys.executable, "-m", "bench.formats", "--ways", way, "--data", name]
            seconds, rows, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            speed = int(rows) / float(seconds)
            print(f"{way:10} {int(rows):9,} rows, {speed:9,.0f} a second, peak {float(peak):,.0f} MiB")


def _one(way: str, data: Path) -> None:
    """Print the seconds that one way takes, the rows it made, and the peak of this process in MiB."""
    start = time.perf_counter()
    rows = bring_in(data) if way == "import" else take_out(way, data)
    taken = time.perf_counter() - start
    # Not ru_maxrss: that one begins with what the process had that started this one.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(taken, rows, int(line.split()[1]) / 1024)


def take_out(name: str, data: Path) -> int:
    """Make a format of the sealed folder, as a download does."""
    form = FORMATS[name]
    return sum(piece.count(b"\n") for piece in form.lines(Sealed(data / "v1"), "train", form.settled(Wish())))


def bring_in(data: Path) -> int:
    """Import the rows of a JSON lines file, as the API does once it is on the disk."""
    settings = Settings(data_dir=data / "import")
    database = Database(settings.url())
    database.create()
    path = data / "traces.jsonl"
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    of = Provenance("made", "mit", "", prompts_license="mit", file=path.name)
    batch, _ = take_in(database, settings, SOURCES["huggingface"], Spooled(path, sha256, Format.JSONL), of, None)
    return batch.prompts


def seal(data: Path, rows: int) -> None:
    """Write a sealed folder, and beside it its kept rows once more as an import has them."""
    folder = data / "v1"
    (folder / "data").mkdir(parents=True)
    kept = _write(folder, "data/train-00000.parquet", KEPT, _rows(rows // 2, 0))
    rejected = _write(folder, "rejected.parquet", REJECTED, _rows(rows // 2, 1))
    manifest = {
        "dataset": "made",
        "version": 1,
        "sha256": "0" * 64,
        "batches": [BATCH],
        "recipe": {"filters": []},
        "teachers": [{"name": "made", "model": "made", "license": "mit"}],
        "input": rows,
        "kept": rows // 2,
        "funnel": [],
        "splits": {"train": [kept]},
        "rejected": rejected,
        "licence": {"decision": "allowed", "intended_use": "research"},
    }
    (folder / "manifest.json").write_text(Manifest.model_validate(manifest).model_dump_json())
    with (data / "traces.jsonl").open("wb") as file:
        for row in _rows(rows, 0):
            asked = {"id": str(row["id"]), "prompt": row["prompt"], "reasoning": row["reasoning"]}
            file.write(orjson.dumps(asked | {"response": row["response"]}, option=orjson.OPT_APPEND_NEWLINE))


def _write(folder: Path, path: str, schema: pa.Schema, rows: Iterator[dict[str, Any]]) -> dict[str, Any]:
    options: dict[str, Any] = {"compression": "zstd", "use_dictionary": REPEATED}
    count = 0
    with pq.ParquetWriter(folder / path, schema, **options) as writer:
        while held := list(islice(rows, GROUP_ROWS)):
            writer.write_table(pa.Table.from_pylist(held, schema=schema))
            count += len(held)
    return {"path": path, "sha256": "0" * 64, "rows": count, "bytes": (folder / path).stat().st_size}


def _rows(count: int, odd: int) -> Iterator[dict[str, Any]]:
    """Yield rows of 1 KB, two of each prompt, with the ids of one parity."""
    chosen = random.Random(7)
    texts = [" ".join(chosen.choices(WORDS, k=chosen.randint(60, 240))) for _ in range(TEXTS)]
    empty = dict.fromkeys(REJECTED.names)
    said = {"filter": "verified", "reason": "wrong_answer", "split": "train", "batch": BATCH, "teacher": "made"}
    for place in range(count):
        text = chosen.choice(texts)
        answer = f"So the answer is {place}."
        row = empty | said | {"id": 2 * place + odd, "prompt_id": place // 2, "reasoning": text, "response": answer}
        yield row | {"prompt": [{"role": "user", "content": f"{place // 2}: {text[:160]}?"}], "completion": []}


if __name__ == "__main__":
    main()
