"""Writing an export folder: Parquet a row group at a time, so that its size costs no memory."""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from filters.manifest import Part, Split
from service.store.curation import Entry
from workers.rows import KEPT, REJECTED, REPEATED, canonical, kept_row

GROUP_ROWS = 4096
FILE_ROWS = 500_000
"""A split goes on in another file after so many rows, which keeps files in the hundreds of megabytes."""
SPLITS: dict[str, Split] = {"train": "train", "eval": "eval", "test": "test"}


class PartWriter:
    """Rows of one schema, written to `STEM-00000.parquet`, `STEM-00001.parquet`, …, or to `STEM.parquet` alone."""

    def __init__(self, folder: Path, stem: str, schema: pa.Schema, *, numbered: bool) -> None:
        self._folder, self._stem, self._schema, self._numbered = folder, stem, schema, numbered
        self._rows: list[dict[str, Any]] = []
        self._writer: pq.ParquetWriter | None = None
        self._written = 0
        self._parts: list[Part] = []

    def add(self, row: dict[str, Any]) -> None:
        """Take one row."""
        self._rows.append(row)
        if len(self._rows) == GROUP_ROWS:
            self._flush()
        if self._numbered and self._written >= FILE_ROWS:
            self._end_file()

    def close(self) -> list[Part]:
        """Write what is left and return the files: none for a numbered stem without a row."""
        if self._rows or not (self._numbered or self._parts):
            self._flush()
        self._end_file()
        return self._parts

    @property
    def _path(self) -> str:
        return f"{self._stem}-{len(self._parts):05d}.parquet" if self._numbered else f"{self._stem}.parquet"

    def _flush(self) -> None:
        if self._writer is None:
            target = self._folder / self._path
            target.parent.mkdir(parents=True, exist_ok=True)
            options: dict[str, Any] = {"compression": "zstd", "use_dictionary": REPEATED}
            self._writer = pq.ParquetWriter(target, self._schema, **options)
        columns = {name: [row[name] for row in self._rows] for name in self._schema.names}
        self._writer.write_table(pa.Table.from_pydict(columns, schema=self._schema))
        self._written += len(self._rows)
        self._rows = []

    def _end_file(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self._parts.append(part(self._folder, self._path, self._written))
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
    """An export in the making: entries come in the order of their prompts, `close` says what they made."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._splits: dict[Split, PartWriter] = {
            split: PartWriter(folder, f"data/{split}", KEPT, numbered=True) for split in SPLITS.values()
        }
        self._rejected = PartWriter(folder, "rejected", REJECTED, numbered=False)
        self._digest = hashlib.sha256()
        self._kept = 0
        self._prompts: dict[Split, int] = dict.fromkeys(SPLITS.values(), 0)
        self._prompt_id: int | None = None

    def add(self, entry: Entry) -> None:
        """Write a row: a kept one to its split, a rejected one to `rejected.parquet` with the verdict."""
        row = kept_row(entry.sample, entry.batch_id)
        if entry.outcome != "keep":
            evidence = (
                None if entry.evidence is None else orjson.dumps(entry.evidence, option=orjson.OPT_SORT_KEYS).decode()
            )
            verdict = {"filter": entry.filter, "reason": entry.reason, "detail": entry.detail, "evidence": evidence}
            self._rejected.add(row | verdict | {"split": entry.split})
            return
        split = SPLITS[entry.split]
        self._digest.update(canonical(row))
        self._kept += 1
        if entry.sample.prompt_id != self._prompt_id:
            self._prompt_id = entry.sample.prompt_id
            self._prompts[split] += 1
        self._splits[split].add(row)

    def close(self) -> Exported:
        """End all files."""
        splits: dict[Split, list[Part]] = {}
        for split, writer in self._splits.items():
            if parts := writer.close():
                splits[split] = parts
        return Exported(self._digest.hexdigest(), self._kept, splits, self._prompts, self._rejected.close()[0])


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
        shutil.rmtree(left, ignore_errors=True)
