"""Writing an export folder: Parquet a row group at a time, so that its size costs no memory."""

import hashlib
import os
import shutil
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from filters.manifest import Part, Split
from service.counting import ROWS
from service.store.ledger import LedgerPage
from workers.rows import BOUNDED, KEPT, REJECTED, REPEATED, canonical, flat, group, text_bytes

GROUP_ROWS = 2048
GROUP_BYTES = 16 << 20
"""Of long texts: a row group ends after so many, so that very long reasoning costs no more memory than short."""
FILE_ROWS = 500_000
"""A split goes on in another file after so many rows, which keeps files in the hundreds of megabytes."""
WAITING_MAX = 1
"""Row groups that wait for the disk."""
SPLITS: dict[str, Split] = {"train": "train", "eval": "eval", "test": "test"}


class Aside:
    """A thread that does one thing after the other, so that packing and hashing go on while more is read.

    What a call raises, a later `do` or `wait` raises. As a context it ends the thread.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="export")
        self._waiting: deque[Future[None]] = deque()

    def do(self, call: Callable[..., None], *args: Any) -> None:
        """Have it done; waits while too much is waiting already."""
        self.wait(WAITING_MAX)
        self._waiting.append(self._thread.submit(call, *args))

    def wait(self, left: int = 0) -> None:
        """Wait until no more than `left` calls are waiting."""
        while len(self._waiting) > left:
            self._waiting.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._thread.shutdown(cancel_futures=True)


class PartWriter:
    """Rows of one schema, written to `STEM-00000.parquet`, `STEM-00001.parquet`, …, or to `STEM.parquet` alone.

    Row groups end at the same rows, however many are added at once. Files belong to the thread `aside`.
    """

    def __init__(self, folder: Path, stem: str, schema: pa.Schema, aside: Aside, *, numbered: bool) -> None:
        self._folder, self._stem, self._schema, self._numbered = folder, stem, schema, numbered
        self._aside = aside
        self._batches: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0
        """Of the row group to come."""
        self._writer: pq.ParquetWriter | None = None
        self._written = 0
        self.parts: list[Part] = []
        """The files that are ended: none for a numbered stem without a row."""

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows as `rows.flat` gives them."""
        sizes = text_bytes(batch)
        while len(batch):
            grown = sizes[: GROUP_ROWS - self._rows].cumsum() + self._bytes
            taken = min(len(grown), int(grown.searchsorted(GROUP_BYTES)) + 1)
            self._batches.append(batch.slice(0, taken))
            self._rows, self._bytes = self._rows + taken, int(grown[taken - 1])
            if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
                self._flush()
            batch, sizes = batch.slice(taken), sizes[taken:]

    def end(self) -> None:
        """Write what is left; `parts` are known once the thread has nothing left to do."""
        if self._rows:
            self._flush()
        self._aside.do(self._end)

    @property
    def _path(self) -> str:
        return f"{self._stem}-{len(self.parts):05d}.parquet" if self._numbered else f"{self._stem}.parquet"

    def _flush(self) -> None:
        self._aside.do(self._write, self._batches)
        self._batches, self._rows, self._bytes = [], 0, 0

    def _write(self, batches: list[pa.RecordBatch]) -> None:
        writer = self._opened()
        table = pa.Table.from_batches([group(batches, self._schema)])
        writer.write_table(table)
        self._written += len(table)
        if self._numbered and self._written >= FILE_ROWS:
            self._end_file()

    def _opened(self) -> pq.ParquetWriter:
        if self._writer is None:
            target = self._folder / self._path
            target.parent.mkdir(parents=True, exist_ok=True)
            options: dict[str, Any] = {"compression": "zstd", "use_dictionary": REPEATED, "write_statistics": BOUNDED}
            self._writer = pq.ParquetWriter(target, self._schema, **options)
        return self._writer

    def _end(self) -> None:
        if not self._numbered:
            self._opened()
        self._end_file()

    def _end_file(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self.parts.append(part(self._folder, self._path, self._written))
        self._writer, self._written = None, 0


@dataclass(frozen=True, slots=True)
class Exported:
    """What lies in the folder. `sha256` is of the kept rows in order, each as canonical JSON with a newline."""

    sha256: str
    kept: int
    splits: dict[Split, list[Part]]
    prompts: dict[Split, int]
    """Distinct prompts in each split."""
    rejected: Part


class Export:
    """An export in the making: pages come in the order of their prompts, `close` says what they made.

    A context, which ends the thread that writes.
    """

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        # Gives back what a row group took; Arrow's own pool keeps 45 MiB more of it.
        pa.set_memory_pool(pa.system_memory_pool())
        self._aside = Aside()
        self._splits: dict[Split, PartWriter] = {
            split: PartWriter(folder, f"data/{split}", KEPT, self._aside, numbered=True) for split in SPLITS.values()
        }
        self._rejected = PartWriter(folder, "rejected", REJECTED, self._aside, numbered=False)
        self._digest = hashlib.sha256()
        self._kept = 0
        self._prompts: dict[Split, int] = dict.fromkeys(SPLITS.values(), 0)
        self._prompt_id: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._aside.__exit__(*raised)

    def add(self, page: LedgerPage) -> None:
        """Write kept rows to their splits, rejected ones to `rejected.parquet` with the verdict."""
        batch = flat(with_sorted_evidence(page))
        ROWS.labels("exported").inc(batch.num_rows)
        kept: dict[Split, list[int]] = {}
        rejected = []
        for place, (outcome, split) in enumerate(zip(page.columns["outcome"], page.columns["split"], strict=True)):
            (kept.setdefault(SPLITS[split], []) if outcome == "keep" else rejected).append(place)
        for split, places in kept.items():
            self._splits[split].add(batch.take(pa.array(places, pa.int32())))
            ids = {page.columns["prompt_id"][place] for place in places}
            self._prompts[split] += len(ids - {self._prompt_id})
        if rejected:
            self._rejected.add(batch.take(pa.array(rejected, pa.int32())))
        if in_order := sorted(chain.from_iterable(kept.values())):
            self._aside.do(self._digest.update, canonical(page, in_order))
            self._kept += len(in_order)
            self._prompt_id = page.columns["prompt_id"][in_order[-1]]

    def close(self) -> Exported:
        """End all files."""
        for writer in (*self._splits.values(), self._rejected):
            writer.end()
        self._aside.wait()
        splits: dict[Split, list[Part]] = {
            split: writer.parts for split, writer in self._splits.items() if writer.parts
        }
        return Exported(self._digest.hexdigest(), self._kept, splits, self._prompts, self._rejected.parts[0])


def with_sorted_evidence(page: LedgerPage) -> LedgerPage:
    """Return the page with evidence as it is exported: JSON with sorted keys."""
    told = [
        None if text is None else orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS).decode()
        for text in page.columns["evidence"]
    ]
    return page.with_column("evidence", told)


def part(folder: Path, path: str, rows: int) -> Part:
    """Return the manifest's entry for a finished file, which is on the disk, and not only on its way, after this."""
    with (folder / path).open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Part(path=path, sha256=digest, rows=rows, bytes=file.tell())


def partial_folder(folder: Path, attempt: int) -> Path:
    """Return where attempt number `attempt` writes: apart from an earlier one that may not know yet that it lost."""
    return folder.with_name(f"{folder.name}.{attempt}.partial")


def put_in_place(partial: Path, folder: Path) -> None:
    """Give a finished folder its name. What an earlier attempt left there, unsealed, gives way."""
    if partial.exists():
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)


def discard_partial(folder: Path) -> None:
    """Remove what interrupted attempts at this folder left behind."""
    for left in folder.parent.glob(f"{folder.name}.*.partial"):
        discard(left)


def discard(partial: Path) -> None:
    """Remove an unfinished folder."""
    shutil.rmtree(partial, ignore_errors=True)
