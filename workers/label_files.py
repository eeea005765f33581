"""Soft labels of a version's kept rows, in Parquet files beside them: `soft_labels/SPLIT.parquet`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from filters.manifest import Part, SoftLabelParts, Split
from service.models import SoftLabels
from service.soft_labels import NO_TOKEN, TopK
from service.store.ledger import LedgerPage
from workers.export import SPLITS, part

SCHEMA = pa.schema(
    {"id": pa.int64(), "k": pa.int32(), "token_ids": pa.list_(pa.int32()), "logprobs": pa.list_(pa.float32())}
)
NO_ENTRY = -1
"""Token id where the teacher gave fewer than k entries."""
READ_ROWS = 100
"""Soft labels unpacked at once: at k = 20 an answer of 1,000 tokens takes 160 kB."""

Labels = Mapping[int, tuple[SoftLabels, TopK]]
Read = Callable[[Sequence[int]], Labels]
"""Gives the soft labels of those traces that have some."""


class LabelFiles:
    """The files in the making. `add` pages as the export gets them, then `close`."""

    def __init__(self, folder: Path, read: Read) -> None:
        self._folder, self._read = folder, read
        self._writers: dict[Split, pq.ParquetWriter] = {}
        self._rows: dict[Split, int] = {}
        self._k = 0
        self._tokenizers: dict[str, str] = {}

    def add(self, page: LedgerPage) -> None:
        """Write the soft labels of the page's kept rows."""
        columns = page.columns
        kept: dict[Split, list[int]] = {}
        for trace_id, outcome, split in zip(columns["id"], columns["outcome"], columns["split"], strict=True):
            if outcome == "keep":
                kept.setdefault(SPLITS[split], []).append(trace_id)
        for split, ids in kept.items():
            for start in range(0, len(ids), READ_ROWS):
                some = ids[start : start + READ_ROWS]
                found = self._read(some)
                self._write(split, [(trace_id, *found[trace_id]) for trace_id in some if trace_id in found])

    def close(self) -> SoftLabelParts | None:
        """End the files; None where there was nothing to write."""
        for writer in self._writers.values():
            writer.close()
        if not self._writers:
            return None
        splits: dict[Split, list[Part]] = {
            split: [part(self._folder, _path(split), rows)] for split, rows in self._rows.items()
        }
        return SoftLabelParts(k=self._k, tokenizer_sha256=self._tokenizers, splits=splits)

    def _write(self, split: Split, found: Sequence[tuple[int, SoftLabels, TopK]]) -> None:
        if not found:
            return
        if split not in self._writers:
            target = self._folder / _path(split)
            target.parent.mkdir(exist_ok=True)
            # Ids repeat at random, so that a dictionary of them only costs.
            self._writers[split] = pq.ParquetWriter(target, SCHEMA, compression="zstd", use_dictionary=False)
        labels = [each for _, _, each in found]
        ids = [np.where(each.ids == NO_TOKEN, NO_ENTRY, each.ids).astype(np.int32) for each in labels]
        arrays = [
            pa.array([trace_id for trace_id, _, _ in found], pa.int64()),
            pa.array([each.k for each in labels], pa.int32()),
            _lists(ids),
            _lists([each.logprobs for each in labels]),
        ]
        self._writers[split].write_table(pa.Table.from_arrays(arrays, schema=SCHEMA))
        self._rows[split] = self._rows.get(split, 0) + len(found)
        self._k = max(self._k, *(each.k for each in labels))
        self._tokenizers |= {row.teacher: row.tokenizer_sha256 for _, row, _ in found}


def _path(split: Split) -> str:
    return f"soft_labels/{split}.parquet"


def _lists(values: Sequence[Any]) -> pa.ListArray:
    """Return one list for each array, its entries row by row."""
    ends = np.cumsum([0, *(each.size for each in values)])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(np.concatenate([v.ravel() for v in values])))
