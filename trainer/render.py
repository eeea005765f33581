"""Rendering rows as the student will read them, and refusing those it would learn wrongly from.

One pass makes both the check and the tokens that are trained on, so that what was checked is what is learnt. Tokens and
loss mask are those that TRL's own preparation makes of prompt and completion.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer import hardware
from trainer.dialect import Dialect
from trainer.errors import TrainerError

if TYPE_CHECKING:
    from datasets import Dataset

IGNORED = -100
"""Label of a token outside the loss, torch's and TRL's."""
STOP_WITHIN_TOKENS = 4
"""So near to the end of a reply its stop token must be; templates put a newline after it."""
PARALLEL_ROWS_MIN = 20_000
"""Starting processes costs more than rendering fewer rows."""

PROBLEMS = {
    "prompt_not_prefix": "its prompt alone renders to other tokens than at the start of the conversation: the student "
    "would be trained on a prompt that it never sees when it answers",
    "empty_loss": "nothing of it would be learnt: the chat template renders no reply",
    "reasoning_lost": "its reasoning is not in the rendered text: the chat template drops or rewrites it",
    "response_lost": "its response is not in the rendered text: the chat template drops or rewrites it",
    "no_stop_token": "its rendered reply does not end with a token that stops the student: it would never learn to "
    "stop. Name the token that the chat template ends a reply with in `eos_token`",
}


@dataclass(frozen=True, slots=True)
class Renderer:
    """Turns rows of `prompt` and `completion` into tokens and labels, noting what is wrong with each."""

    tokenizer: Any
    dialect: Dialect
    stop_tokens: list[int] = field(default_factory=list)

    def __call__(self, rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Render a batch of rows: columns `input_ids`, `labels`, `tokens`, `problem` (empty where all is well)."""
        prompts, texts, replies = [], [], []
        for prompt, completion in zip(rows["prompt"], rows["completion"], strict=True):
            messages = [without_nulls(message) for message in prompt]
            reasoning, response = _reply(completion)
            replies.append((reasoning if self.dialect.key is not None else "", response))
            prompts.append(self.dialect.render(self.tokenizer, messages, prompt=True))
            texts.append(self.dialect.render(self.tokenizer, [*messages, self.dialect.message(reasoning, response)]))
        prompt_ids, text_ids = self._tokens(prompts), self._tokens(texts)
        parts = list(zip(prompt_ids, text_ids, strict=True))
        starts = [_common_prefix(before, whole) for before, whole in parts]
        return {
            "input_ids": text_ids,
            "labels": [[IGNORED] * start + ids[start:] for start, ids in zip(starts, text_ids, strict=True)],
            "tokens": [len(ids) for ids in text_ids],
            "reply_tokens": [len(ids) - start for start, ids in zip(starts, text_ids, strict=True)],
            "problem": [
                self._problem(start, before, ids, text, reply)
                for start, (before, ids), text, reply in zip(starts, parts, texts, replies, strict=True)
            ],
        }

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        return self.tokenizer(texts, add_special_tokens=False)["input_ids"]

    def _problem(self, start: int, prompt: list[int], ids: list[int], text: str, reply: tuple[str, str]) -> str:
        reasoning, response = reply
        if start == len(ids):
            return "empty_loss"
        if start < len(prompt):
            return "prompt_not_prefix"
        if reasoning.strip() not in text:
            return "reasoning_lost"
        if response.strip() not in text:
            return "response_lost"
        if not set(ids[start:][-STOP_WITHIN_TOKENS:]) & set(self.stop_tokens):
            return "no_stop_token"
        return ""


def render(rows: "Dataset", renderer: Renderer, key: str) -> "Dataset":
    """Render every row. `key` names rows and settings, so that the processes of one training share the result.

    Raises TrainerError with one of `PROBLEMS`, naming the first such row.
    """
    rendered = rows.map(
        renderer,
        batched=True,
        remove_columns=["prompt", "completion"],
        num_proc=hardware.cores() if len(rows) >= PARALLEL_ROWS_MIN else None,
        new_fingerprint=hashlib.sha256(key.encode()).hexdigest()[:16],
        desc="Rendering rows",
    )
    problems = rendered["problem"]
    wrong = [place for place, problem in enumerate(problems) if problem]
    if wrong:
        problem = problems[wrong[0]]
        raise TrainerError(
            problem,
            f"row {rendered['id'][wrong[0]]} cannot be trained on: {PROBLEMS[problem]} "
            f"({len(wrong)} of {len(rendered)} rows do not render as they should)",
        )
    return rendered.remove_columns("problem")


def fit(rendered: "Dataset", tokens_max: int, *, drop: bool) -> tuple["Dataset", dict[int, int]]:
    """Return the rows that fit whole, and the tokens of each other one by its id. Nothing is ever cut.

    Raises TrainerError `would_be_cut` unless `drop` says to set such rows aside.
    """
    lengths: list[int] = list(rendered["tokens"])
    longer = [place for place, tokens in enumerate(lengths) if tokens > tokens_max]
    if not longer:
        return rendered, {}
    ids: list[int] = list(rendered["id"])
    over = {ids[place]: lengths[place] for place in longer}
    if not drop:
        named = ", ".join(f"row {row} has {tokens}" for row, tokens in list(over.items())[:5])
        raise TrainerError(
            "would_be_cut",
            f"{len(over)} of {len(lengths)} rows are longer than {tokens_max} tokens and would lose their end, the "
            f"answer: {named}{', …' if len(over) > 5 else ''}. Raise `max_length` (or choose a student with a longer "
            "context), reject them in the recipe (filter `length`), or set `on_too_long` to `drop_to_rejected`",
        )
    return rendered.select([place for place, tokens in enumerate(lengths) if tokens <= tokens_max]), over


def write_dropped(files: list[Path], over: dict[int, int], tokens_max: int, target: Path) -> None:
    """Keep the rows that did not fit, with the reason, in the shape of a version's `rejected.parquet`."""
    import json

    import pyarrow as pa
    from pyarrow import compute, parquet

    tables = [parquet.read_table(file, filters=compute.field("id").isin(list(over))) for file in files]
    table = pa.concat_tables(tables)
    tokens = [over[row] for row in table["id"].to_pylist()]
    columns = {
        "filter": ["trainer"] * len(tokens),
        "reason": ["would_be_cut"] * len(tokens),
        "detail": [f"{count} tokens rendered for the student, at most {tokens_max} fit" for count in tokens],
        "evidence": [json.dumps({"tokens": count, "tokens_max": tokens_max}) for count in tokens],
        "split": ["train"] * len(tokens),
    }
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values, pa.string()))
    parquet.write_table(table, target)


def without_nulls(message: dict[str, Any]) -> dict[str, Any]:
    """Parquet gives every message every key; templates ask whether a key is there."""
    return {key: value for key, value in message.items() if value is not None}


def _reply(completion: list[dict[str, Any]]) -> tuple[str, str]:
    message = completion[0]
    return message.get("reasoning_content") or "", message.get("content") or ""


def _common_prefix(first: list[int], second: list[int]) -> int:
    """Count the tokens both begin with: where TRL, too, lets the completion begin."""
    if second[: len(first)] == first:
        return len(first)
    return next(
        (place for place, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), len(second)
    )
