"""Which split a prompt belongs to: a property of its text, or of the first text that it is nearly the same as."""

import hashlib
import unicodedata
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from filters.groups import Groups

NEAR = "near"
"""How a version is split that keeps near-duplicate prompts together, as its `split` says under `group`."""
CHUNK = 256


def normalised(text: str) -> str:
    """Return `text` as two prompts are compared: NFKC, one space between words, case folded."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def fingerprint(text: str) -> bytes:
    """Return 16 bytes that equal prompts share."""
    return hashlib.blake2b(normalised(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def split_of(text: str, fractions: Mapping[str, Any]) -> str:
    """Return `test`, `eval` or `train` for a prompt's text.

    `fractions` gives the parts of `test` and `eval` of all prompts. The same prompt, in whichever batch, order or
    version, lands in the same split, so that no answer to a test prompt is ever trained on.
    """
    return _split_at(_place(text), fractions)


class Splits:
    """The splits of one version's prompts."""

    def __init__(self, wanted: Mapping[str, Any], near: Mapping[int, float] | None = None) -> None:
        self._wanted = wanted
        self._near = near or {}
        """For prompts that are nearly the same as an earlier one, where that one stands between 0 and 1."""
        self._held: set[bytes] = set()
        """Fingerprints of the prompts that were named for the eval split."""

    @classmethod
    def of(cls, wanted: Mapping[str, Any], prompts: Iterable[Sequence[tuple[int, str]]], folder: Path) -> "Splits":
        """Return the splits that `wanted` describes; `prompts`, pages of ids and texts, are read only if it must be.

        Then every prompt takes 16 bytes, and one that is nearly the same as an earlier one 100 more.
        """
        if wanted.get("group") != NEAR or not (wanted.get("test") or wanted.get("eval")):
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
            firsts = ((number, groups.first(number)) for number in range(len(ids)))
            return cls(wanted, {ids[number]: places[first] for number, first in firsts if first != number})

    def hold_back(self, texts: Iterable[str]) -> None:
        """Put these prompts, and any with the same text, into the eval split; each takes about 100 bytes."""
        self._held.update(map(fingerprint, texts))

    def __call__(self, prompt_id: int, text: str) -> str:
        """Return the split of a prompt."""
        if self._held and fingerprint(text) in self._held:
            return "eval"
        near = self._near.get(prompt_id)
        return split_of(text, self._wanted) if near is None else _split_at(near, self._wanted)


def _place(text: str) -> float:
    return int.from_bytes(fingerprint(text)[:8], "big") / 2**64


def _split_at(place: float, fractions: Mapping[str, Any]) -> str:
    test = fractions.get("test", 0.0)
    if place < test:
        return "test"
    return "eval" if place < test + fractions.get("eval", 0.0) else "train"
