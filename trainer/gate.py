"""The gate before a training: every row of a version rendered as one student will read it, and counted.

Rows are read, rendered and forgotten a few at a time, so that a version's size costs no memory but a number a row.
"""

import hashlib
import math
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filters.manifest import Split
from trainer.base import find_base, load_tokenizer, stop_tokens
from trainer.config import Training
from trainer.dataset import COLUMNS, Folder, open_folder
from trainer.dialect import EXPORTED, Completion, Dialect, find_dialect
from trainer.errors import TrainerError
from trainer.prepare import SPLITS, tokens_limits
from trainer.render import PROBLEMS, Renderer, reply_of
from trainer.rendering import Example, Lengths, Problem, Reasoning, Rendering, SplitRendering
from trainer.supervisor import Supervisor
from trainer.unfit import WOULD_BE_CUT, RejectedWriter, Unfit, explain, judge

BATCH_ROWS = 32
"""Enough to keep the tokenizer's threads busy; of traces of 32,000 tokens they take 250 MB on the way."""
EXAMPLES_MAX = 20
"""Kept of the unfit rows; `rejected.parquet` has them all."""
TELL_EVERY_S = 1.0
TRL_LENGTH_MAX = 1024
"""TRL's default `max_length`, at which it cuts without a word."""


def rehearse(config: Training, dataset: Path, out: Path | None, supervisor: Supervisor) -> Rendering:
    """Render every row for the student and return what came of it.

    Writes `render.json` and, where rows are unfit, `rejected.parquet` into `out`. Raises TrainerError as
    `trainer.dataset` and `trainer.base` do, and `out_in_dataset`, `out_unwritable`.
    """
    if out is not None:
        _make(out, dataset)
    folder = open_folder(dataset, license_unknown=config.license_unknown)
    base = find_base(config.student, config.revision)
    tokenizer: Any = load_tokenizer(base.path, config.chat_template, config.eos_token)
    dialect, survives = find_or_show(tokenizer, config.completion)
    renderer = Renderer(tokenizer, dialect, stop_tokens(base.path, tokenizer))
    tokens_max = min(tokens_limits(config, base), default=None)
    gate = _Gate(renderer, tokens_max, supervisor)
    with RejectedWriter(out / "rejected.parquet") if out else nullcontext() as writer:
        splits = {split: gate.split(folder, split, writer) for split in SPLITS if folder.files(split)}
    found = [
        problem for problem in (*PROBLEMS, WOULD_BE_CUT) if any(problem in split.problems for split in splits.values())
    ]
    rendering = Rendering(
        dataset=folder.manifest.dataset,
        version=folder.manifest.version,
        sha256=folder.manifest.sha256,
        student=config.student,
        commit=base.commit,
        chat_template_sha256=hashlib.sha256(str(tokenizer.chat_template).encode()).hexdigest(),
        completion=config.completion,
        reasoning_key=dialect.key if survives else None,
        template_kwargs=dialect.template_kwargs,
        max_length=tokens_max,
        fit=not found,
        splits=splits,
        examples=gate.examples,
        problems={name: Problem(meaning=explain(name)[0], remedy=explain(name)[1]) for name in found},
    )
    if out is not None:
        (out / "render.json").write_text(rendering.model_dump_json(indent=2), encoding="utf-8")
    return rendering


def refuse_unfit(rendering: Rendering, config: Training) -> None:
    """Raise TrainerError `unfit_rows` where a training with these settings would not begin."""
    train = rendering.splits["train"]
    unfit = train.rows - train.fit
    if not unfit or (train.fit and config.on_unfit == "drop_to_rejected"):
        return
    counts = ", ".join(f"{count:,} {problem}" for problem, count in train.problems.items())
    raise TrainerError(
        "unfit_rows",
        f"{unfit:,} of {train.rows:,} rows of {rendering.dataset}@{rendering.version} cannot be trained on for "
        f"{rendering.student} ({counts}); rejected.parquet has them with their reasons",
    )


def _make(out: Path, dataset: Path) -> None:
    if out.resolve().is_relative_to(dataset.resolve()):
        raise TrainerError("out_in_dataset", f"{out} lies in the dataset's folder, which is sealed: choose another")
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "render.json").unlink(missing_ok=True)  # of an earlier rendering: it must not outlive its rejected rows
    except OSError as error:
        raise TrainerError("out_unwritable", f"{out} cannot be written to: {error}") from error


def find_or_show(tokenizer: Any, completion: Completion) -> tuple[Dialect, bool]:
    """Return the student's dialect and that reasoning survives in it; else one that shows the loss, row by row."""
    try:
        return find_dialect(tokenizer, completion), True
    except TrainerError as error:
        if error.reason != "template_drops_reasoning":
            raise
        return Dialect(EXPORTED, "", "", {"enable_thinking": True}), False


@dataclass
class _Gate:
    """Renders splits, a few rows at a time, and keeps the first unfit rows as examples."""

    renderer: Renderer
    tokens_max: int | None
    supervisor: Supervisor
    examples: list[Example] = field(default_factory=list)

    def split(self, folder: Folder, split: Split, writer: RejectedWriter | None) -> SplitRendering:
        """Render a split's rows; the unfit ones go to `writer`."""
        counts = _Counts()
        total = sum(part.rows for part in folder.manifest.splits[split])
        told_at = 0.0
        for batch in _batches(folder.files(split), None if writer else COLUMNS):
            rows = {name: batch.column(name).to_pylist() for name in COLUMNS}
            unfit = self._render(rows, split, counts)
            if writer is not None:
                writer.add(batch, unfit, split)
            if time.monotonic() - told_at > TELL_EVERY_S:
                told_at = time.monotonic()
                self.supervisor.emit("rendering", split=split, rows=counts.rows, of=total, unfit=counts.unfit)
        return counts.summary()

    def _render(self, rows: dict[str, list[Any]], split: Split, counts: "_Counts") -> dict[int, Unfit]:
        rendered = self.renderer(rows)
        unfit: dict[int, Unfit] = {}
        for place, completion in enumerate(rows["completion"]):
            tokens, reply_tokens = rendered["tokens"][place], rendered["reply_tokens"][place]
            found = judge(rendered["problems"][place], rendered["detail"][place], tokens, reply_tokens, self.tokens_max)
            counts.add(tokens, reply_tokens, self._fate(reply_of(completion)[0], found), found)
            if found is None:
                continue
            unfit[place] = found
            if len(self.examples) < EXAMPLES_MAX:
                told = {"reason": found.reason, "detail": found.detail, "tokens": tokens}
                self.examples.append(Example(id=rows["id"][place], split=split, **told))
        return unfit

    def _fate(self, reasoning: str, unfit: Unfit | None) -> str:
        if not reasoning.strip():
            return "none"
        if self.renderer.dialect.key is None:
            return "left_out"
        lost = unfit is not None and {"reasoning_lost", "template_refused"} & set(unfit.problems)
        return "lost" if lost else "kept"


@dataclass
class _Counts:
    """Of one split, as its rows go by."""

    tokens: "array[int]" = field(default_factory=lambda: array("l"))
    reply_tokens: "array[int]" = field(default_factory=lambda: array("l"))
    fates: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    unfit: int = 0

    @property
    def rows(self) -> int:
        """Those that went by."""
        return len(self.tokens)

    def add(self, tokens: int, reply_tokens: int, fate: str, unfit: Unfit | None) -> None:
        """Count one row."""
        self.tokens.append(tokens)
        self.reply_tokens.append(reply_tokens)
        self.fates[fate] += 1
        if unfit is not None:
            self.unfit += 1
            self.problems.update(unfit.problems)

    def summary(self) -> SplitRendering:
        """Return what was counted."""
        return SplitRendering(
            rows=self.rows,
            fit=self.rows - self.unfit,
            tokens=_lengths(self.tokens),
            reply_tokens=_lengths(self.reply_tokens),
            reasoning=Reasoning(**self.fates),
            problems=dict(self.problems.most_common()),
            over_trl_default=sum(tokens > TRL_LENGTH_MAX for tokens in self.tokens),
        )


def _lengths(tokens: Sequence[int]) -> Lengths:
    ordered = sorted(tokens)
    if not ordered:
        return Lengths()
    p50, p95 = (ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.95))
    return Lengths(p50=p50, p95=p95, max=ordered[-1], total=sum(ordered))


def _batches(files: Iterable[Path], columns: Sequence[str] | None) -> Iterator[Any]:
    from pyarrow import parquet

    for file in files:
        with parquet.ParquetFile(file) as opened:
            yield from opened.iter_batches(BATCH_ROWS, columns=columns)
