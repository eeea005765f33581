"""Where two texts differ, for a near-duplicate beside its twin."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

WORDS_MAX = 3000
"""Longer texts are compared line by line: comparing grows with the square of the pieces, and a page must not wait."""
LINES_MAX = 3000
CONTEXT_CHARS = 120
"""Of a long stretch that both share, so much is shown at either end."""
_PIECE = re.compile(r"\w+|\s+|[^\w\s]")


class Stretch(NamedTuple):
    """A run of text; `gap` counts characters that both share and that are left out before `tail`."""

    kind: Literal["same", "removed", "added"]
    text: str
    gap: int = 0
    tail: str = ""


def diff(twin: str, text: str) -> list[Stretch]:
    """Return how `text` came from `twin`: what both share, what only the twin has, what only the text has."""
    one, other = _pieces(twin, text)
    # difflib's own rule for long inputs, which leaves words found everywhere out of the search, keeps this fast.
    matcher = SequenceMatcher(None, one, other)
    found: list[Stretch] = []
    for tag, start, end, other_start, other_end in matcher.get_opcodes():
        if tag == "equal":
            found.append(_shortened("".join(one[start:end])))
            continue
        if end > start:
            found.append(Stretch("removed", "".join(one[start:end])))
        if other_end > other_start:
            found.append(Stretch("added", "".join(other[other_start:other_end])))
    return found


def _pieces(twin: str, text: str) -> tuple[list[str], list[str]]:
    one, other = _PIECE.findall(twin), _PIECE.findall(text)
    if max(len(one), len(other)) <= WORDS_MAX:
        return one, other
    return list(_lines(twin)), list(_lines(text))


def _lines(text: str) -> Iterator[str]:
    lines = text.splitlines(keepends=True)
    yield from lines[:LINES_MAX]
    if len(lines) > LINES_MAX:
        yield "".join(lines[LINES_MAX:])


def _shortened(text: str) -> Stretch:
    gap = len(text) - 2 * CONTEXT_CHARS
    if gap < CONTEXT_CHARS:
        return Stretch("same", text)
    return Stretch("same", text[:CONTEXT_CHARS], gap, text[-CONTEXT_CHARS:])
