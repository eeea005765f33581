"""Rows that a student cannot be trained on: refused, or set aside with the reason. Nothing is ever cut."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from trainer.errors import TrainerError
from trainer.render import PROBLEMS, REMEDIES

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

WOULD_BE_CUT = "would_be_cut"
CUT = "it is longer than fits: TRL would cut off its end, the answer"
CUT_REMEDY = (
    "raise `max_length` (or choose a student with a longer context), reject such rows in the recipe (filter `length`), "
    "or set `on_unfit` to `drop_to_rejected`"
)
NAMED = 5
"""Rows that a refusal names."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """What is wrong with one row: `reason` is the first of `problems`, each a name in `PROBLEMS` or `would_be_cut`."""

    problems: tuple[str, ...]
    detail: str
    tokens: int
    reply_tokens: int

    @property
    def reason(self) -> str:
        """The most telling problem."""
        return self.problems[0]


def judge(problems: Sequence[str], said: str, tokens: int, reply_tokens: int, tokens_max: int | None) -> Unfit | None:
    """Return what is wrong with a rendered row, None where it is sound. `said`: by the chat template, refusing it."""
    found = (*problems, WOULD_BE_CUT) if tokens_max is not None and tokens > tokens_max else tuple(problems)
    if not found:
        return None
    if found[0] != WOULD_BE_CUT:
        return Unfit(found, said or PROBLEMS[found[0]], tokens, reply_tokens)
    detail = f"{tokens} tokens rendered for the student, at most {tokens_max} fit"
    if tokens - reply_tokens >= (tokens_max or 0):
        detail += f"; its prompt alone has {tokens - reply_tokens}, so that cut it would teach nothing"
    return Unfit(found, detail, tokens, reply_tokens)


def find_unfit(rendered: "Dataset", tokens_max: int) -> dict[int, Unfit]:
    """Return what is wrong with each unfit row, by its place."""
    columns = (rendered[name][:] for name in ("problems", "detail", "tokens", "reply_tokens"))
    unfit: dict[int, Unfit] = {}
    for place, (problems, said, tokens, reply_tokens) in enumerate(zip(*columns, strict=True)):
        if found := judge(problems, said, tokens, reply_tokens, tokens_max):
            unfit[place] = found
    return unfit


def refusal(unfit: dict[int, Unfit], rows: int, tokens_max: int) -> TrainerError:
    """Return what says why a training on rows with these, by id, is refused: the commonest reason, and the rows."""
    reason, count = Counter(found.reason for found in unfit.values()).most_common(1)[0]
    ids = [row for row, found in unfit.items() if found.reason == reason][:NAMED]
    others = f"; {len(unfit) - count} more are unfit for other reasons" if count < len(unfit) else ""
    what, remedy = explain(reason)
    if reason == WOULD_BE_CUT:
        named = ", ".join(f"row {row} has {unfit[row].tokens}" for row in ids)
        told = f"{count} of {rows} rows are longer than {tokens_max} tokens and would lose their end, the answer: "
        told += named + (", …" if count > len(ids) else "")
    else:
        told = f"row {ids[0]} cannot be trained on: {unfit[ids[0]].detail}"
        told += f" ({count} of {rows} rows; {what})" if unfit[ids[0]].detail != what else f" ({count} of {rows} rows)"
    return TrainerError(reason, f"{told}{others}. {remedy[0].upper()}{remedy[1:]}; `retort render` shows every one")


def explain(problem: str) -> tuple[str, str]:
    """Return what a problem means, and what can be done about it."""
    return (CUT, CUT_REMEDY) if problem == WOULD_BE_CUT else (PROBLEMS[problem], REMEDIES[problem])


class RejectedWriter:
    """Keeps unfit rows, with the reason, in the shape of a version's `rejected.parquet`; without any no file is made.

    A context: the file has its name once it is whole.
    """

    def __init__(self, target: Path) -> None:
        self._target, self._partial = target, target.with_suffix(".partial")
        self._writer: Any = None
        target.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._writer is None:
            return
        self._writer.close()
        if error is None:
            self._partial.rename(self._target)
        else:
            self._partial.unlink(missing_ok=True)

    def add(self, rows: "pa.RecordBatch", unfit: dict[int, Unfit], split: str) -> None:
        """Keep those of `rows` whose place is in `unfit`."""
        import pyarrow as pa
        from pyarrow import parquet

        if not unfit:
            return
        table = pa.Table.from_batches([rows]).take(list(unfit))
        for name, values in _columns(unfit.values(), split).items():
            table = table.append_column(name, pa.array(values, pa.string()))
        if self._writer is None:
            self._writer = parquet.ParquetWriter(self._partial, table.schema, compression="zstd")
        self._writer.write_table(table)


def keep_unfit(writer: RejectedWriter, files: Iterable[Path], unfit: dict[int, Unfit], split: str) -> None:
    """Keep the unfit rows of these files; places count through all of them."""
    from pyarrow import parquet

    if not unfit:
        return
    begin = 0
    for file in files:
        with parquet.ParquetFile(file) as opened:
            for batch in opened.iter_batches():
                here = range(begin, begin + len(batch))
                writer.add(batch, {place - begin: unfit[place] for place in here if place in unfit}, split)
                begin = here.stop


def _columns(unfit: Iterable[Unfit], split: str) -> dict[str, list[str]]:
    found = list(unfit)
    return {
        "filter": ["trainer"] * len(found),
        "reason": [row.reason for row in found],
        "detail": [row.detail for row in found],
        "evidence": [
            json.dumps({"problems": row.problems, "tokens": row.tokens, "reply_tokens": row.reply_tokens})
            for row in found
        ],
        "split": [split] * len(found),
    }
