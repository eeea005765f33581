"""The folder of a sealed version, read a few rows at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filters.manifest import Manifest
from service.errors import NotFound

Row = dict[str, Any]
"""A row by its columns, as the manifest's version wrote them."""
ROWS_AT_ONCE = 256
BUFFER_BYTES = 2**20
"""Read ahead of a column chunk, so that a row group of long texts is not held as a whole."""


@dataclass(frozen=True)
class Sealed:
    """A sealed version's folder; nothing here writes to it."""

    folder: Path

    @cached_property
    def manifest(self) -> Manifest:
        """What the version is made of."""
        return Manifest.model_validate_json((self.folder / "manifest.json").read_bytes())

    def files(self, split: str) -> list[Path]:
        """Return the files of a split in order; NotFound when it holds nothing."""
        parts = self.manifest.splits.get(split, [])  # pyright: ignore[reportArgumentType, reportCallIssue]
        if not parts:
            label = f"{self.manifest.dataset}@{self.manifest.version}"
            raise NotFound(f"{label} has no rows in its '{split}' split; it has {', '.join(self.manifest.splits)}")
        return [self.folder / part.path for part in parts]

    def kept(self, split: str) -> Iterator[Row]:
        """Yield the rows of a split."""
        for path in self.files(split):
            yield from _rows(path)

    def rejected(self) -> Iterator[Row]:
        """Yield the rejected rows, with `filter`, `reason` and `split`; texts of all filters are read."""
        yield from _rows(self.folder / self.manifest.rejected.path)

    def batches(self, split: str) -> list[str]:
        """Return the batches whose rows the split holds, in the order in which they come."""
        found: dict[str, None] = {}
        for path in self.files(split):
            for row in _rows(path, ["batch"], 65_536):
                found.setdefault(row["batch"])
        return list(found)

    def roles(self, split: str) -> set[str]:
        """Return the roles that messages of the split's prompts have; no text is read for it."""
        return {
            message["role"]
            for path in self.files(split)
            for row in _rows(path, ["prompt.list.element.role"], 65_536)
            for message in row["prompt"]
        }


def _rows(path: Path, columns: Sequence[str] | None = None, rows_at_once: int = ROWS_AT_ONCE) -> Iterator[Row]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER_BYTES, memory_map=False) as file:
        chosen = None if columns is None else list(columns)
        for batch in file.iter_batches(rows_at_once, columns=chosen, use_threads=False):
            yield from batch.to_pylist()
