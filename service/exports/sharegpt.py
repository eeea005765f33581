"""`sharegpt`: conversations of `from` and `value`, by turns, as LLaMA-Factory reads them."""

from collections.abc import Iterator, Mapping
from typing import Any

from service.exports import answer
from service.exports.form import ExportFormat, Reasoning, Wish
from service.exports.sealed import Sealed
from service.exports.turns import by_turns, dataset_info

NAMES = {"user": "human", "assistant": "gpt", "tool": "observation"}
ROLES = frozenset({"system", "developer", *NAMES})
ENTRY = {"formatting": "sharegpt", "columns": {"messages": "conversations", "system": "system"}}


def _rows(sealed: Sealed, split: str, wish: Wish) -> Iterator[dict[str, Any]]:
    for row in sealed.kept(split):
        system, turns = by_turns([*row["prompt"], {"role": "assistant", "content": answer.text(row, wish)}])
        said = [{"from": NAMES[role], "value": value} for role, value in turns]
        yield {"conversations": said, "system": system, **answer.ids(row)}


def _settings(name: str, files: Mapping[str, str], _: Wish) -> tuple[str, str]:
    return dataset_info(name, files, ENTRY)


FORMAT = ExportFormat("sharegpt", "LLaMA-Factory", _rows, (Reasoning.INLINE, Reasoning.DROP), ROLES, settings=_settings)
