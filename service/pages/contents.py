"""What is in a sealed version: yield by category, and how long the kept answers are. Read from its folder's columns."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

CATEGORIES_SHOWN = 12
BINS = 40
WIDTH, HEIGHT, BASE = 640, 120, 100
"""Of the chart of lengths, in SVG units; its bars stand on BASE, the labels below."""
TAIL = 99.5
"""Percentile at which the chart ends: a few very long answers would press all others into one bar."""


class Category(NamedTuple):
    """One category: rows kept and rejected."""

    name: str
    kept: int
    rejected: int


class Bar(NamedTuple):
    """Answers of about the same length: where the bar stands in SVG units, and what it says."""

    x: float
    y: float
    width: float
    height: float
    says: str


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of the kept answers: the chart, and figures of all of them."""

    bars: list[Bar]
    end: int
    median: int
    p95: int
    most: int
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class Contents:
    """What a version's page draws of its rows. `left_out` counts categories beyond the largest."""

    categories: list[Category]
    left_out: int
    lengths: Lengths | None


@lru_cache(maxsize=64)
def contents(folder: Path, sha256: str) -> Contents | None:
    """Return what is in the version of this hash; None where its folder is not on this machine.

    Reads two narrow columns, once a process: what is sealed stays as it is.
    """
    if not (folder / "data").is_dir():
        return None
    kept, tokens = _columns(sorted((folder / "data").glob("*.parquet")))
    rejected, _ = _columns([path for path in [folder / "rejected.parquet"] if path.is_file()])
    found = [Category(name, kept[name], rejected[name]) for name in kept | rejected]
    found.sort(key=lambda each: (-each.kept - each.rejected, each.name))
    return Contents(found[:CATEGORIES_SHOWN], max(0, len(found) - CATEGORIES_SHOWN), _lengths(tokens))


def _columns(paths: Sequence[Path]) -> tuple[Counter[str], "np.ndarray"]:
    """Return the rows of each category, and the tokens of each answer that were counted."""
    import numpy as np

    categories, tokens = Counter[str](), [np.zeros(0, np.int64)]
    for names, counted in _batches(paths):
        categories.update(names)
        tokens.append(counted)
    return categories, np.concatenate(tokens)


def _batches(paths: Sequence[Path]) -> Iterator[tuple[dict[str, int], "np.ndarray"]]:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["category", "completion_tokens"]):
                counted = pc.value_counts(batch.column("category")).to_pylist()  # pyright: ignore[reportAttributeAccessIssue]
                tokens = batch.column("completion_tokens").drop_null().to_numpy(zero_copy_only=False)
                yield {each["values"] or "": each["counts"] for each in counted}, tokens


def _lengths(tokens: "np.ndarray") -> Lengths | None:
    import numpy as np

    if len(tokens) < 2:
        return None
    median, p95, tail = (int(value) for value in np.percentile(tokens, [50, 95, TAIL]))
    end = max(tail, 1)
    counts, edges = np.histogram(np.minimum(tokens, end), bins=min(BINS, end), range=(0, end))
    step = WIDTH / len(counts)
    bars = [
        Bar(
            round(place * step + 0.5, 2),
            round(BASE - (height := BASE * count / counts.max()), 2),
            round(step - 1, 2),
            round(height, 2),
            f"{edges[place]:,.0f} to {edges[place + 1]:,.0f} tokens: {count:,} answer{'' if count == 1 else 's'}",
        )
        for place, count in enumerate(counts)
        if count
    ]
    return Lengths(bars, end, median, p95, int(tokens.max()))
