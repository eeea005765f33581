"""Answers of the teacher that no student learnt from, as tokens, with what the teacher held likely if it is known."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filters.manifest import Split
from trainer.dataset import COLUMNS, Folder
from trainer.dialect import EXPORTED
from trainer.errors import TrainerError
from trainer.measures.distance import Distance, Tally
from trainer.render import Renderer
from trainer.results import TEACHER, Result
from trainer.score import Scored, reply_logits

if TYPE_CHECKING:
    from datasets import Dataset

HELD_OUT: tuple[Split, ...] = ("test", "eval")
"""Splits that are not trained on."""


@dataclass(frozen=True, slots=True)
class Row:
    """One answer. `soft_ids` and `soft_logprobs` are (tokens of the reply, k); None where nothing is known."""

    scored: Scored
    soft_ids: Any = None
    soft_logprobs: Any = None


@dataclass(frozen=True, slots=True)
class Source:
    """Answers from one place."""

    name: str
    origin: str
    rows: list[Row]
    distribution: str | None = None
    """Where the teacher's distributions are from."""


@dataclass(slots=True)
class Sources:
    """What was found, and why the rest was not."""

    found: list[Source] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def read_sources(
    folder: Folder, stored: Sequence[Result], renderer: Renderer, rows_max: int, tokens_max: int | None
) -> Sources:
    """Return kept rows of the test and eval split, and the right stored answers to prompts of an evaluation's sets."""
    sources = Sources()
    for split in HELD_OUT:
        if folder.files(split):
            _add(sources, _of_split(folder, split, renderer, rows_max, tokens_max))
        else:
            sources.missing.append(f"{folder.name} has no {split} split")
    # Without an evaluation file the questions are the test split's, whose kept rows are there already.
    sets = [name for name in dict.fromkeys(result.question.set for result in stored) if name not in HELD_OUT]
    for name in sets:
        answers = [result for result in stored if result.question.set == name and result.right and not result.truncated]
        first = {result.question.id: result for result in reversed(answers)}
        _add(sources, _of_set(name, _spread(list(first.values()), rows_max), renderer, tokens_max))
    return sources


def label_with(teacher: Any, rows: Sequence[Row], k: int) -> list[Row]:
    """Return the rows with the k likeliest entries that a model on this machine gives each token of the reply."""
    labelled = list(rows)
    for place, logits in reply_logits(teacher, [row.scored for row in rows]):
        top = logits.log_softmax(1).topk(min(k, logits.shape[1]))
        soft = {"soft_ids": top.indices.int().cpu().numpy(), "soft_logprobs": top.values.cpu().numpy()}
        labelled[place] = replace(rows[place], **soft)
    return labelled


def measure(model: Any, rows: Sequence[Row]) -> Distance | None:
    """Return a model's distance from the teacher on these rows; None where nothing could be scored."""
    import torch

    tally = Tally()
    with torch.no_grad():
        for place, logits in reply_logits(model, [row.scored for row in rows]):
            row = rows[place]
            chosen = torch.tensor(row.scored.ids[-row.scored.reply_tokens :], device=logits.device)
            soft = []
            if row.soft_ids is not None:
                soft = [torch.as_tensor(row.soft_ids).long(), torch.as_tensor(row.soft_logprobs)]
            tally.add(logits, chosen, *(each.to(logits.device) for each in soft))
    return tally.distance()


def stored_labels(rows: "Dataset", folder: Folder, split: Split) -> list[Row]:
    """Return rendered rows with the soft labels that the version has of them; without, where they do not fit.

    Raises TrainerError `tokenizer_mismatch`, `no_soft_labels`.
    """
    from trainer.soft_rows import with_soft_labels

    with tempfile.TemporaryDirectory(prefix="retort-labels-") as cache:
        labelled, matched = with_soft_labels(rows, folder, split, Path(cache))
        matched.check(folder.name)
        return [
            Row(
                Scored(row["input_ids"], row["reply_tokens"]),
                _matrix(row["soft_ids"], row["reply_tokens"], "int32"),
                _matrix(row["soft_logprobs"], row["reply_tokens"], "float32"),
            )
            for row in labelled.to_list()
        ]


def _matrix(flat: Any, tokens: int, dtype: str) -> Any:
    import numpy as np

    return np.asarray(flat, dtype).reshape(tokens, -1)


def _of_split(folder: Folder, split: Split, renderer: Renderer, rows_max: int, tokens_max: int | None) -> Source:
    import pyarrow as pa
    from pyarrow import parquet

    tables = [parquet.read_table(file, columns=list(COLUMNS), memory_map=True) for file in folder.files(split)]
    table = pa.concat_tables(tables)
    chosen = table.take(_spread(range(len(table)), rows_max)).to_pydict()
    rows = _fit(renderer, chosen, tokens_max)
    source = Source(f"{split} split", f"kept rows of the {split} split", [Row(scored) for _, scored in rows])
    if not folder.labels(split) or not rows:
        return source
    from datasets import Dataset

    data = Dataset.from_list(
        [{"id": row, "input_ids": scored.ids, "reply_tokens": scored.reply_tokens} for row, scored in rows]
    )
    try:
        labelled = stored_labels(data, folder, split)
    except TrainerError:  # no labels on these few, or another tokenizer's: a local teacher may still know
        return source
    return replace(source, rows=labelled, distribution="the version's soft labels")


def _of_set(name: str, answers: list[Result], renderer: Renderer, tokens_max: int | None) -> Source:
    columns = {
        "id": list(range(len(answers))),
        "prompt": [answer.question.messages for answer in answers],
        "completion": [
            [{"role": "assistant", EXPORTED: answer.reasoning or None, "content": answer.response}]
            for answer in answers
        ],
    }
    rows = [Row(scored) for _, scored in _fit(renderer, columns, tokens_max)]
    return Source(name, f"right answers of the {TEACHER} to prompts of {name}", rows)


def _fit(renderer: Renderer, columns: dict[str, list[Any]], tokens_max: int | None) -> list[tuple[int, Scored]]:
    """Return ids and tokens of the rows that render whole."""
    if not columns["id"]:
        return []
    made = renderer(columns)
    return [
        (row, Scored(ids, reply_tokens))
        for row, ids, reply_tokens, problems in zip(
            columns["id"], made["input_ids"], made["reply_tokens"], made["problems"], strict=True
        )
        if not problems and (tokens_max is None or len(ids) <= tokens_max)
    ]


def _add(sources: Sources, source: Source) -> None:
    if source.rows:
        sources.found.append(source)
    else:
        sources.missing.append(f"no {source.origin} that the student can be shown whole")


def _spread(items: Sequence[Any], count: int) -> list[Any]:
    count = min(count, len(items))
    return [items[place * len(items) // count] for place in range(count)]
