"""Which split a prompt belongs to: a property of its text, or of the first text that it is nearly the same as."""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from filters.fingerprint import fingerprint
from filters.groups import Groups
from filters.manifest import NearPrompts

TEXT, NEAR = "text", "near"
"""How a version is split, as its `split` says under `group`: equal prompts share one, or also all that are nearly the
same. The third way, `auto`, is the latter without groups that are too large for it."""
ROOM = 5
"""Groups of the largest size that is kept whole fit so often into the smallest split: even if every prompt were in one
of those, the split would come out empty less than once in a hundred times, (1 - share) ** (5 / share) < e ** -5."""
WHOLE_MIN = 4
"""Prompts that are kept together in however small a set: there chance alone moves the size of splits by as much."""
CHUNK = 256


def split_of(text: str, fractions: Mapping[str, Any]) -> str:
    """Return `test`, `eval` or `train` for a prompt's text.

    `fractions` gives the parts of `test` and `eval` of all prompts. The same prompt, in whichever batch, order or
    version, lands in the same split, so that no answer to a test prompt is ever trained on.
    """
    return _split_at(_place(text), fractions)


def asks_nothing_of_others(wanted: Mapping[str, Any]) -> bool:
    """Whether a prompt's own text decides its split."""
    return wanted.get("group", TEXT) == TEXT or not _held_back(wanted)


class Splits:
    """The splits of one version's prompts, and what is known of those that are nearly the same."""

    def __init__(
        self, wanted: Mapping[str, Any], told: Mapping[int, str] | None = None, near: NearPrompts | None = None
    ) -> None:
        """`told` are splits that do not follow from the prompt's own text, by its id."""
        self._wanted, self._told = wanted, told or {}
        self._held: set[bytes] = set()
        """Fingerprints of the prompts that were named for the eval split."""
        self.near = near

    @classmethod
    def of(cls, wanted: Mapping[str, Any], prompts: Iterable[Sequence[tuple[int, str]]], folder: Path) -> "Splits":
        """Return the splits that `wanted` describes; `prompts`, pages of ids and texts, are read only if it must be.

        Then a prompt takes 24 bytes and `Groups` as many as it says, one that is nearly the same as an earlier one 100.
        """
        if asks_nothing_of_others(wanted):
            return cls(wanted)
        ids, places = array("q"), array("d")
        folder.mkdir(parents=True, exist_ok=True)
        with closing(Groups(folder)) as groups:
            for page in prompts:
                for start in range(0, len(page), CHUNK):
                    some = page[start : start + CHUNK]
                    groups.add([text for _, text in some])
                    ids.extend(prompt_id for prompt_id, _ in some)
                    places.extend(_place(text) for _, text in some)
            firsts = array("q", map(groups.first, range(len(ids))))
        whole_max = None if wanted["group"] == NEAR else _whole_max(len(ids), wanted)
        sizes = {first: size for first, size in Counter(firsts).items() if size > 1}
        apart = {first: size for first, size in sizes.items() if whole_max is not None and size > whole_max}
        near = NearPrompts(
            groups=len(sizes),
            prompts=sum(sizes.values()),
            largest=max(sizes.values(), default=0),
            whole_max=whole_max,
            apart=len(apart),
            apart_prompts=sum(apart.values()),
        )
        whole = ((number, first) for number, first in enumerate(firsts) if first != number and first not in apart)
        return cls(wanted, {ids[number]: _split_at(places[first], wanted) for number, first in whole}, near)

    def hold_back(self, texts: Iterable[str]) -> None:
        """Put these prompts, and any with the same text, into the eval split; each takes about 100 bytes."""
        self._held.update(map(fingerprint, texts))

    def __call__(self, prompt_id: int, text: str) -> str:
        """Return the split of a prompt."""
        if self._held and fingerprint(text) in self._held:
            return "eval"
        return self._told.get(prompt_id) or split_of(text, self._wanted)


def _held_back(wanted: Mapping[str, Any]) -> list[float]:
    return [share for share in (wanted.get("test"), wanted.get("eval")) if share]


def _whole_max(prompts: int, wanted: Mapping[str, Any]) -> int:
    """Return how many prompts a group may hold that is kept in one split."""
    return max(WHOLE_MIN, int(prompts * min(_held_back(wanted)) / ROOM))


def _place(text: str) -> float:
    return int.from_bytes(fingerprint(text)[:8], "big") / 2**64


def _split_at(place: float, fractions: Mapping[str, Any]) -> str:
    test = fractions.get("test", 0.0)
    if place < test:
        return "test"
    return "eval" if place < test + fractions.get("eval", 0.0) else "train"
