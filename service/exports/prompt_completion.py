"""`prompt_completion`: what was asked apart from the answer, so that TRL takes its loss on the answer alone."""

from collections.abc import Iterator
from typing import Any

from service.exports import answer
from service.exports.form import ExportFormat, Wish
from service.exports.sealed import Sealed


def _rows(sealed: Sealed, split: str, wish: Wish) -> Iterator[dict[str, Any]]:
    for row in sealed.kept(split):
        yield {"prompt": row["prompt"], "completion": [answer.message(row, wish)], **answer.ids(row)}


FORMAT = ExportFormat("prompt_completion", "TRL (conversational prompt and completion)", _rows)
