"""`openai`: fine-tuning JSONL. It has no key for reasoning, and refuses keys that it does not know, ids among them."""

from collections.abc import Iterator
from typing import Any

from service.exports import answer
from service.exports.form import ExportFormat, Reasoning, Wish
from service.exports.sealed import Sealed

# A message of a tool needs the id of its call, which a sealed row does not keep.
ROLES = frozenset({"system", "developer", "user", "assistant"})


def _rows(sealed: Sealed, split: str, wish: Wish) -> Iterator[dict[str, Any]]:
    for row in sealed.kept(split):
        yield {"messages": [*row["prompt"], answer.message(row, wish)]}


FORMAT = ExportFormat(
    "openai", "OpenAI fine-tuning, and servers that copy it", _rows, (Reasoning.INLINE, Reasoning.DROP), ROLES
)
