"""Pairs of a better and a worse answer to one prompt, of what a recipe kept and what it rejected."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar

WORSE = ("verified", "vote", "judged", "format", "refusal", "repetition", "consistency", "language", "length", "person")
"""Filters whose rejection says that an answer is bad. The others say that it is one too many (`near_duplicate`,
`select`), or that nobody may have it (`licence`, `contamination`, `pii`, `code_licence`)."""

Row = dict[str, Any]
"""A row of a version, with `batch`, `prompt_id` and `teacher`; a rejected one with `filter` and `split`."""
Answer = TypeVar("Answer")
Place = tuple[int, int]
"""A prompt's place in a version: the number of its batch, then its id. Kept and rejected rows both come in it."""


def worse_rows(
    rejected: Iterable[Row], split: str, worse: Collection[str], number: Mapping[str, int], teachers: Collection[str]
) -> Iterator[Row]:
    """Yield the rejected rows of a split that are the worse answers: by these filters, in these batches.

    `teachers` are those whose answers were kept: the version's licence answer speaks of them, nobody looked at others'.
    """
    for row in rejected:
        wanted = row["split"] == split and row["filter"] in worse
        if wanted and row["batch"] in number and row["teacher"] in teachers:
            yield row


def by_prompt(
    kept: Iterable[Row], worse: Iterable[Row], number: Mapping[str, int]
) -> Iterator[tuple[list[Row], list[Row]]]:
    """Yield the kept and the worse answers of each prompt that has both.

    Both come in the order of prompts, `number` of a row's batch first; ValueError where they do not.
    """
    groups = _groups(worse, number)
    place, others = next(groups, (None, []))
    for here, better in _groups(kept, number):
        while place is not None and place < here:
            place, others = next(groups, (None, []))
        if place == here:
            yield better, others


def pairs(better: Sequence[Answer], worse: Sequence[Answer], pairs_max: int) -> Iterator[tuple[Answer, Answer]]:
    """Pair every answer once, those of the shorter side again and again, up to the wished number."""
    for turn in range(min(pairs_max, max(len(better), len(worse)))):
        yield better[turn % len(better)], worse[turn % len(worse)]


def _groups(rows: Iterable[Row], number: Mapping[str, int]) -> Iterator[tuple[Place, list[Row]]]:
    last: Place | None = None
    for place, group in groupby(rows, key=lambda row: (number[row["batch"]], row["prompt_id"])):
        if last is not None and place < last:
            raise ValueError(
                f"prompt {place[1]} comes after prompt {last[1]}: the rows are not in the order of prompts"
            )
        last = place
        yield place, list(group)
