"""`jsonl`: the sealed rows with all their columns."""

from collections.abc import Iterator

from service.exports.form import ExportFormat, Wish
from service.exports.sealed import Row, Sealed


def _rows(sealed: Sealed, split: str, _: Wish) -> Iterator[Row]:
    return sealed.kept(split)


FORMAT = ExportFormat("jsonl", "datasets, pandas, polars, duckdb, TRL", _rows, reasoning=())
