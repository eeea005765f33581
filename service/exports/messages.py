"""`messages`: whole conversations, as TRL and most trainers of chat models read them."""

from collections.abc import Iterator
from typing import Any

from service.exports import answer
from service.exports.form import ExportFormat, Wish
from service.exports.sealed import Sealed


def _rows(sealed: Sealed, split: str, wish: Wish) -> Iterator[dict[str, Any]]:
    for row in sealed.kept(split):
        yield {"messages": [*row["prompt"], answer.message(row, wish)], **answer.ids(row)}


FORMAT = ExportFormat("messages", "TRL (conversational), any trainer of chat models", _rows)
