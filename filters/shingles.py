"""Texts as sets of overlapping phrases, hashed; the arithmetic behind `near_duplicate`, many texts at a time."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint32]
"""Sorted and distinct. Two phrases of a pair of texts share one by chance once in a hundred thousand pairs."""
Wide = npt.NDArray[np.uint64]

_CHARACTERS = 4
"""Length of a shingle in characters, where there are too few words."""
_WORD_CHARS_MAX = 24
"""Longer words on average mean a script without spaces, or code in one line."""
_BASE = 0x9E3779B97F4A7C15
"""Odd, from the golden ratio: its powers have inverses modulo 2**64, and spread over all bits."""
VERSION = 1
"""Raised when the same text gives other hashes: what is kept of earlier ones is then no longer read."""
LETTERS = np.random.default_rng(1).integers(1, 2**63, size=256, dtype=np.uint64)
_SPACE, _NEWLINE = 32, 10
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


class Sets(NamedTuple):
    """The shingles of several texts, one after the other: those of text i are `hashes[ends[i - 1] : ends[i]]`."""

    hashes: Hashes
    text: npt.NDArray[np.int64]
    """For each hash, the text it is of."""
    ends: npt.NDArray[np.int64]

    def of(self, index: int) -> Hashes:
        """Return the set of one text."""
        return self.hashes[self.ends[index - 1] if index else 0 : self.ends[index]]


def normal(text: str) -> bytes:
    """Return the text without what makes no difference between duplicates, case and spacing, as UTF-8."""
    # Half a surrogate pair is no valid text, yet models do write it.
    return " ".join(text.casefold().split()).encode(errors="surrogatepass")


def shingles(normalised: Sequence[bytes], words: int) -> Sets:
    """Return the hashes of all runs of `words` words of each text, or of characters where its words are few."""
    counts = np.fromiter((text.count(b" ") + 1 for text in normalised), np.int64, len(normalised))
    lengths = np.fromiter(map(len, normalised), np.int64, len(normalised))
    wordy = (counts >= words) & (lengths <= _WORD_CHARS_MAX * counts)
    found = []
    if wordy.any():
        found.append(_phrases([normalised[i] for i in np.flatnonzero(wordy)], np.flatnonzero(wordy), counts, words))
    for index in np.flatnonzero(~wordy):
        hashes = _characters(normalised[index])
        found.append((np.uint64(index) << _HALF) | hashes)
    # One sort for all: text number above, hash below.
    keyed = np.sort(np.concatenate(found))
    # numpy's own `unique` takes a hash table and four times as long.
    keyed = keyed[np.append(True, keyed[1:] != keyed[:-1])]
    text = (keyed >> _HALF).astype(np.int64)
    ends = np.cumsum(np.bincount(text, minlength=len(normalised)))
    return Sets((keyed & _LOW).astype(np.uint32), text, ends)


def jaccard(one: Hashes, other: Hashes) -> float:
    """Return the exact share of shingles that two sets have in common."""
    both = np.sort(np.concatenate((one, other)))
    common = int(np.count_nonzero(both[1:] == both[:-1]))
    return common / (len(one) + len(other) - common)


def _phrases(texts: list[bytes], numbers: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], words: int) -> Wide:
    """Hash every run of words: the difference of two sums over the letters, the same wherever the run stands."""
    letters = np.frombuffer(b"\n".join(texts), dtype=np.uint8)
    powers, inverses = _powers(len(letters))
    sums = np.zeros(len(letters) + 1, dtype=np.uint64)
    np.cumsum(LETTERS[letters] * powers[: len(letters)], out=sums[1:])
    gaps = np.flatnonzero((letters == _SPACE) | (letters == _NEWLINE))
    starts, ends = np.append(0, gaps + 1), np.append(gaps, len(letters))
    of_text = np.repeat(numbers, counts[numbers])
    within = np.flatnonzero(of_text[: len(of_text) - words + 1] == of_text[words - 1 :])
    first = starts[within]
    hashes = _mixed((sums[ends[within + words - 1]] - sums[first]) * inverses[first])
    return (of_text[within].astype(np.uint64) << _HALF) | hashes


def _characters(normalised: bytes) -> Wide:
    """Hash every run of characters: a polynomial modulo 2**64."""
    text = normalised.decode(errors="surrogatepass").encode("utf-32-le", "surrogatepass")
    points = np.frombuffer(text, dtype="<u4").astype(np.uint64)
    length = min(_CHARACTERS, len(points))
    combined = np.zeros(len(points) - length + 1, dtype=np.uint64)
    for place in range(length):
        combined = combined * np.uint64(_BASE) + points[place : place + len(combined)]
    return _mixed(combined)


def _mixed(values: Wide) -> Wide:
    """Let every bit count, and return 32 of them. Multiplying and shifting as in MurmurHash3's last step."""
    for factor, shift in ((0xFF51AFD7ED558CCD, 33), (0xC4CEB9FE1A85EC53, 33)):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    return values >> _HALF


_known_powers: list[Wide] = []


def _powers(count: int) -> tuple[Wide, Wide]:
    """Return the base's first powers, at least `count`, and their inverses."""
    if not _known_powers or len(_known_powers[0]) < count:
        size = 1 << max(16, (count - 1).bit_length())
        inverse = pow(_BASE, -1, 1 << 64)
        _known_powers[:] = [
            np.multiply.accumulate(np.append(np.uint64(1), np.full(size - 1, base, dtype=np.uint64)))
            for base in (_BASE, inverse)
        ]
    return _known_powers[0], _known_powers[1]
