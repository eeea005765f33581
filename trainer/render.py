"""Rendering rows as the student will read them, and noting what it would learn wrongly from.

One pass makes both the check and the tokens that are trained on, so that what was checked is what is learnt. Tokens and
loss mask are those that TRL's own preparation makes of prompt and completion.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainer import hardware
from trainer.dialect import Dialect

if TYPE_CHECKING:
    from datasets import Dataset

IGNORED = -100
"""Label of a token outside the loss, torch's and TRL's."""
STOP_WITHIN_TOKENS = 4
"""So near to the end of a reply its stop token must be; templates put a newline after it."""
PARALLEL_ROWS_MIN = 20_000
"""Starting processes costs more than rendering fewer rows."""
DETAIL_CHARACTERS_MAX = 300

PROBLEMS = {
    "template_refused": "the chat template refuses it, for instance a system message that it does not know",
    "empty_loss": "nothing of it would be learnt: the chat template renders no reply",
    "reasoning_lost": "its reasoning is not in the rendered reply: the chat template drops or rewrites it",
    "response_lost": "its response is not in the rendered reply: the chat template drops or rewrites it",
    "prompt_not_prefix": "its prompt alone renders to other tokens than at the start of the conversation: the student "
    "would be trained on a prompt that it never sees when it answers",
    "no_stop_token": "its rendered reply does not end with a token that stops the student: it would never learn to "
    "stop",
    "stops_early": "a token that stops the student stands inside its reply: it would learn to stop there",
}
"""What can be wrong with a row, the most telling first."""
_OTHER_TEMPLATE = "give `chat_template` a Jinja file that does otherwise, or choose another student"
REMEDIES = {
    "template_refused": f"{_OTHER_TEMPLATE}; without a system message in the prompts most templates take them",
    "empty_loss": _OTHER_TEMPLATE,
    "reasoning_lost": f"{_OTHER_TEMPLATE}; or teach responses alone (`completion` = answer_only)",
    "response_lost": _OTHER_TEMPLATE,
    "prompt_not_prefix": _OTHER_TEMPLATE,
    "no_stop_token": "name the token that the chat template ends a reply with in `eos_token`",
    "stops_early": "reject such rows: set `on_unfit` to `drop_to_rejected`",
}
"""What a person can do about each."""


@dataclass(frozen=True, slots=True)
class Renderer:
    """Turns rows of `prompt` and `completion` into tokens and labels, noting what is wrong with each."""

    tokenizer: Any
    dialect: Dialect
    stop_tokens: list[int] = field(default_factory=list)

    def __call__(self, rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Render a batch of rows.

        Columns: `input_ids`, `labels`, `tokens`, `reply_tokens` (those in the loss), `problems` (names in `PROBLEMS`,
        none where all is well), `detail` (what the chat template said, if it refused the row).
        """
        texts, details, replies = [], [], []
        for prompt, completion in zip(rows["prompt"], rows["completion"], strict=True):
            reasoning, response = reply_of(completion)
            pair, refusal = self._texts([without_nulls(message) for message in prompt], reasoning, response)
            texts.append(pair)
            details.append(refusal)
            replies.append((reasoning if self.dialect.key is not None else "", response))
        prompt_ids, whole_ids = (self._tokens([pair[side] for pair in texts]) for side in (0, 1))
        starts = [_common_prefix(*pair) for pair in zip(prompt_ids, whole_ids, strict=True)]
        rendered = zip(starts, prompt_ids, whole_ids, texts, replies, details, strict=True)
        return {
            "input_ids": whole_ids,
            "labels": [[IGNORED] * start + ids[start:] for start, ids in zip(starts, whole_ids, strict=True)],
            "tokens": [len(ids) for ids in whole_ids],
            "reply_tokens": [len(ids) - start for start, ids in zip(starts, whole_ids, strict=True)],
            "problems": [
                ["template_refused"]
                if refusal
                else self._problems(ids[start:], start < len(before), _after(*pair), *reply)
                for start, before, ids, pair, reply, refusal in rendered
            ],
            "detail": details,
        }

    def _texts(self, prompt: list[dict[str, Any]], reasoning: str, response: str) -> tuple[tuple[str, str], str]:
        """Return the prompt and the whole conversation as text, or two empty texts and what the template said."""
        from jinja2 import TemplateError

        try:
            message = self.dialect.message(reasoning, response)
            before = self.dialect.render(self.tokenizer, prompt, prompt=True)
            return (before, self.dialect.render(self.tokenizer, [*prompt, message])), ""
        except (TemplateError, TypeError) as error:
            return ("", ""), f"{type(error).__name__}: {error}"[:DETAIL_CHARACTERS_MAX]

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        once = list(dict.fromkeys(texts))  # a prompt with several answers stands in several rows
        wanted = {"add_special_tokens": False, "return_attention_mask": False, "verbose": False}
        ids = dict(zip(once, self.tokenizer(once, **wanted)["input_ids"], strict=True))
        return [ids[text] for text in texts]

    def _problems(self, reply: list[int], moved: bool, text: str, reasoning: str, response: str) -> list[str]:
        end = max(0, len(reply) - STOP_WITHIN_TOKENS)
        found = {
            "empty_loss": not reply,
            "reasoning_lost": reasoning.strip() not in text,
            "response_lost": bool(reply) and response.strip() not in text,
            "prompt_not_prefix": bool(reply) and moved,
            "no_stop_token": bool(reply) and not any(token in self.stop_tokens for token in reply[end:]),
            "stops_early": any(token in reply[:end] for token in self.stop_tokens),
        }
        return [problem for problem, is_so in found.items() if is_so]


def render(rows: "Dataset", renderer: Renderer, key: str) -> "Dataset":
    """Render every row. `key` names rows and settings, so that the processes of one training share the result."""
    from datasets import Features, List, Value

    tokens, count, text = List(Value("int32")), Value("int64"), Value("string")
    columns = {"input_ids": tokens, "labels": tokens, "tokens": count, "reply_tokens": count}
    return rows.map(
        renderer,
        batched=True,
        remove_columns=["prompt", "completion"],
        features=Features({"id": rows.features["id"], **columns, "problems": List(text), "detail": text}),
        num_proc=hardware.cores() if len(rows) >= PARALLEL_ROWS_MIN else None,
        new_fingerprint=hashlib.sha256(key.encode()).hexdigest()[:16],
        desc="Rendering rows",
    )


def without_nulls(message: dict[str, Any]) -> dict[str, Any]:
    """Parquet gives every message every key; templates ask whether a key is there."""
    return {key: value for key, value in message.items() if value is not None}


def reply_of(completion: list[dict[str, Any]]) -> tuple[str, str]:
    """Return reasoning and response of a row's completion."""
    message = completion[0]
    return message.get("reasoning_content") or "", message.get("content") or ""


def _after(prompt: str, text: str) -> str:
    """Return what the conversation's text adds to the prompt's."""
    return text[len(prompt if text.startswith(prompt) else text[: _common_prefix(prompt, text)]) :]


def _common_prefix(first: Sequence[Any], second: Sequence[Any]) -> int:
    """Count the tokens (or characters) both begin with: where TRL, too, lets the completion begin."""
    if second[: len(first)] == first:
        return len(first)
    return next(
        (place for place, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]),
        min(len(first), len(second)),
    )
