"""What an export format is, and what its asker may wish for."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import orjson

from filters.pairs import WORSE
from service.errors import Problem, nearest
from service.exports.sealed import Sealed

REVISION = 1
"""Grows when any format writes other bytes for the same version: it is part of every ETag."""
REASONING_KEYS = ("reasoning_content", "thinking", "reasoning")
"""Keys of a message under which chat templates look for reasoning: Qwen and GLM; GPT-OSS and LFM; a few others."""
PAIRS_MAX = 64


class Reasoning(StrEnum):
    """Where the chain of thought goes."""

    FIELD = "field"
    """A key of its own in the assistant's message."""
    INLINE = "inline"
    """Before the response, between `<think>` and `</think>`."""
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Wish:
    """How the rows are wanted. What is None is the format's own choice."""

    reasoning: Reasoning | None = None
    reasoning_key: str = REASONING_KEYS[0]
    worse: tuple[str, ...] = WORSE[:1]
    """For pairs: filters whose rejections are the worse answers."""
    pairs_max: int = 4
    """For pairs: at most so many of one prompt."""


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A way to write kept rows as JSON lines."""

    name: str
    reads_it: str
    """Tools that take it as it is."""
    rows: Callable[[Sealed, str, Wish], Iterator[dict[str, Any]]]
    """Takes the folder, a split and the wish, its `reasoning` settled."""
    reasoning: tuple[Reasoning, ...] = (Reasoning.FIELD, Reasoning.INLINE, Reasoning.DROP)
    """What it has a place for, the usual one first; nothing where rows leave as they were sealed."""
    roles: frozenset[str] | None = None
    """Roles of messages that it has a place for; None means any."""
    one_each: bool = True
    """Whether a kept row gives one row."""
    settings: Callable[[str, Mapping[str, str], Wish], tuple[str, str]] | None = None
    """The file that its reader is configured with: from the version's name and the file of each split to the name and
    text of that file."""

    def settled(self, wish: Wish) -> Wish:
        """Return the wish with everything decided; raises a Problem for one that the format cannot grant."""
        if not self.reasoning:
            if wish.reasoning is not None:
                raise Problem(f"reasoning: '{self.name}' holds the sealed rows as they are; leave it out")
            return wish
        chosen = wish.reasoning or self.reasoning[0]
        if chosen not in self.reasoning:
            known = " or ".join(self.reasoning)
            raise Problem(f"reasoning: '{self.name}' has no place for it as '{chosen}'; take {known}")
        if unknown := next((kind for kind in wish.worse if kind not in WORSE), None):
            raise Problem(f"worse: a rejection by '{unknown}' does not make an answer worse{nearest(unknown, WORSE)}")
        return replace(wish, reasoning=chosen)

    def lines(self, sealed: Sealed, split: str, wish: Wish) -> Iterator[bytes]:
        """Yield the rows of a split as JSON lines, some at a time. `wish` is settled.

        Raises NotFound where the split holds nothing, and a Problem where a prompt has a role without a place here.
        """
        sealed.files(split)
        if self.roles is not None and (other := sealed.roles(split) - self.roles):
            names = ", ".join(f"'{role}'" for role in sorted(other))
            raise Problem(f"format: '{self.name}' has no place for messages of {names}; take 'messages'")
        return _joined(self.rows(sealed, split, wish))

    def etag(self, sha256: str, split: str, wish: Wish) -> str:
        """Return the ETag of what `lines` gives: of a sealed version the same wish makes the same bytes."""
        said = [REVISION, sha256, self.name, split, wish.reasoning, wish.reasoning_key, wish.worse, wish.pairs_max]
        return f'"{hashlib.sha256(orjson.dumps(said)).hexdigest()[:32]}"'


LINES_AT_ONCE = 256


def _joined(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    held: list[bytes] = []
    for row in rows:
        held.append(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        if len(held) == LINES_AT_ONCE:
            yield b"".join(held)
            held = []
    if held:
        yield b"".join(held)
