"""`alpaca`: instruction, input and output, with earlier turns in `history`, as LLaMA-Factory reads them."""

from collections.abc import Iterator, Mapping
from typing import Any

from service.exports import answer
from service.exports.form import ExportFormat, Reasoning, Wish
from service.exports.sealed import Sealed
from service.exports.turns import by_turns, dataset_info

ROLES = frozenset({"system", "developer", "user", "assistant"})
COLUMNS = {
    "prompt": "instruction",
    "query": "input",
    "response": "output",
    "system": "system",
    "history": "history",
}


def _rows(sealed: Sealed, split: str, wish: Wish) -> Iterator[dict[str, Any]]:
    for row in sealed.kept(split):
        system, turns = by_turns(row["prompt"])
        if not turns or turns[-1][0] == "assistant":
            turns.append(("user", ""))
        said = [value for _, value in turns]
        history = [list(pair) for pair in zip(said[:-1:2], said[1:-1:2], strict=True)]
        asked = {"instruction": said[-1], "input": "", "output": answer.text(row, wish), "system": system}
        yield {**asked, "history": history, **answer.ids(row)}


def _settings(name: str, files: Mapping[str, str], _: Wish) -> tuple[str, str]:
    return dataset_info(name, files, {"formatting": "alpaca", "columns": COLUMNS})


FORMAT = ExportFormat("alpaca", "LLaMA-Factory", _rows, (Reasoning.INLINE, Reasoning.DROP), ROLES, settings=_settings)
