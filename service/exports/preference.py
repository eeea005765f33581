"""`preference`: pairs of a kept and a rejected answer to one prompt, as TRL's DPO reads them."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from service.exports import answer
from service.exports.form import ExportFormat, Wish
from service.exports.sealed import Row, Sealed

Place = tuple[int, int]
"""A prompt's place in a version: the number of its batch, then its id. Kept and rejected rows both come in it."""


def _rows(sealed: Sealed, split: str, wish: Wish) -> Iterator[dict[str, Any]]:
    number = {name: place for place, name in enumerate(sealed.batches(split))}
    rejected = _groups(_worse(sealed, split, wish, number), number)
    place, worse = next(rejected, (None, []))
    for here, kept in _groups(sealed.kept(split), number):
        while place is not None and place < here:
            place, worse = next(rejected, (None, []))
        if place == here:
            yield from _pairs(kept, worse, wish)


def _worse(sealed: Sealed, split: str, wish: Wish, number: dict[str, int]) -> Iterator[Row]:
    # The licence answer speaks of those whose answers were kept; nobody looked at the others'.
    answered_for = {teacher.name for teacher in sealed.manifest.teachers}
    for row in sealed.rejected():
        wanted = row["split"] == split and row["filter"] in wish.worse
        if wanted and row["batch"] in number and row["teacher"] in answered_for:
            yield row


def _groups(rows: Iterator[Row], number: dict[str, int]) -> Iterator[tuple[Place, list[Row]]]:
    """Yield the rows of each prompt. Raises ValueError where the folder's order is not the one that pairing needs."""
    last: Place | None = None
    for place, group in groupby(rows, key=lambda row: (number[row["batch"]], row["prompt_id"])):
        if last is not None and place < last:
            raise ValueError(
                f"prompt {place[1]} comes after prompt {last[1]}: the rows are not in the order of prompts"
            )
        last = place
        yield place, list(group)


def _pairs(kept: list[Row], worse: list[Row], wish: Wish) -> Iterator[dict[str, Any]]:
    """Pair every answer once, those of the shorter side again and again, up to the wished number."""
    for turn in range(min(wish.pairs_max, max(len(kept), len(worse)))):
        better, other = kept[turn % len(kept)], worse[turn % len(worse)]
        yield {
            "prompt": better["prompt"],
            "chosen": [answer.message(better, wish)],
            "rejected": [answer.message(other, wish)],
            **answer.ids(better),
            "rejected_id": other["id"],
            "reason": f"{other['filter']}: {other['reason']}",
        }


FORMAT = ExportFormat("preference", "TRL (DPO and other preference trainers)", _rows, one_each=False)
