"""Runs of words that texts share with benchmark lines, and where: the arithmetic behind `contamination`."""

import math
import re
from collections.abc import Iterator, Sequence
from functools import cache, cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

_ALONE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
"""Kana, Han and Hangul: written without spaces, so that each character counts as a word."""
_WORD = re.compile(rf"[{_ALONE}]|[^\W{_ALONE}]+")
_PLAIN = bytes(ord(chr(code).lower()) if re.match(r"\w", chr(code)) else 32 for code in range(128)).ljust(256)
_ZEROS = bytes(ord("0") if chr(code).isdigit() and code < 128 else code for code in range(256))
_NUMBER = re.compile(r"\d[\d.,]*")
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, from the golden ratio: spreads its powers over all 64 bits
_FUZZY_WORDS_MAX = 300
"""Of a benchmark line: comparing letter by letter takes time as the square of the length."""
_CANDIDATES = 3
_SHARE_MIN = 0.25
"""Of a line's word pairs, weighted by their rarity: a text with fewer is not compared letter by letter."""
_COMMON_SHARE, _COMMON_MIN = 0.05, 100
"""Word pairs in more of the lines than both find nothing."""


class Match(NamedTuple):
    """A stretch of a text and the line it is like, by its place in the index."""

    line: int
    text: str
    similarity: float


class Words:
    """A text's words without case and punctuation, and their hashes."""

    def __init__(self, spaced: bytes):
        self._spaced = spaced
        self.hashes = _hashed(spaced)

    @cached_property
    def spelt(self) -> list[str]:
        """The words themselves: few texts share enough hashes for anybody to ask."""
        return self._spaced.decode(errors="surrogatepass").split()

    def __len__(self) -> int:
        return len(self.hashes)


def words(text: str, *, digits: bool = True) -> Words:
    """Return a text's words; without `digits` every number is the word 0."""
    if text.isascii():
        return Words((text.encode() if digits else _zeroed(text.encode())).translate(_PLAIN))
    text = text.casefold()
    spelt = _WORD.findall(text if digits else _NUMBER.sub("0", text))
    # Half a surrogate pair is no valid text, yet models do write it.
    return Words(" ".join(spelt).encode(errors="surrogatepass"))


def _zeroed(text: bytes) -> bytes:
    """Do as `_NUMBER.sub` does, for ASCII and ten times as fast: each pass halves what is left of long numbers."""
    text, longer = text.translate(_ZEROS), b""
    while text != longer:
        longer = text
        text = text.replace(b"00", b"0").replace(b"0.", b"0").replace(b"0,", b"0")
    return text


def _hashed(spaced: bytes) -> Hashes:
    """Hash every word between spaces: the difference of two sums over the letters, the same wherever it stands."""
    letters = np.frombuffer(b" %b " % spaced, dtype=np.uint8)
    gap = letters == _SPACE
    edges = np.flatnonzero(gap[1:] != gap[:-1])
    powers, inverses = _powers(len(letters))
    sums = np.cumsum(_LETTERS[letters] * powers[: len(letters)])
    return (sums[edges[1::2]] - sums[edges[::2]]) * inverses[edges[::2]]


_SPACE = 32
_LETTERS = np.random.default_rng(3).integers(1, 2**63, size=256, dtype=np.uint64)


def _powers(count: int) -> tuple[Hashes, Hashes]:
    """Return the base's first powers, at least `count`, and their inverses."""
    return _powers_of_two_many(max(16, (count - 1).bit_length()))


@cache
def _powers_of_two_many(bits: int) -> tuple[Hashes, Hashes]:
    every = (np.full((1 << bits) - 1, base, dtype=np.uint64) for base in (_BASE, _power(-1)))
    one, other = (np.multiply.accumulate(np.append(np.uint64(1), each)) for each in every)
    return one, other


def _runs(pieces: Hashes, length: int) -> Hashes:
    """Hash every run of this length, in order: a polynomial in its pieces, modulo 2**64.

    Built up by the binary digits of the length, from runs half as long and one longer.
    """
    if len(pieces) < length:
        return _NONE
    runs, built = pieces, 1
    for digit in f"{length:b}"[1:]:
        runs, built = runs[:-built] * _power(built) + runs[built:], 2 * built
        if digit == "1":
            runs, built = runs[:-1] * _BASE + pieces[built:], built + 1
    return runs


@lru_cache
def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(int(_BASE), exponent, 1 << 64))


class _Sieve:
    """Tells of most hashes that they are not among those given: one array of flags, read by each hash's upper bits."""

    def __init__(self, hashes: Hashes):
        bits = max(10, min(_SIEVE_BITS_MAX, (16 * len(hashes)).bit_length()))
        self._shift = np.uint64(64 - bits)
        self._there = np.zeros(1 << bits, dtype=bool)
        self._there[hashes >> self._shift] = True

    def places(self, hashes: Hashes) -> npt.NDArray[np.int64]:
        """Return where the hashes stand that may be among them: all that are, and one in sixteen of the others."""
        return np.flatnonzero(self._there[hashes >> self._shift])


_SIEVE_BITS_MAX = 26
"""64 MB, for benchmarks of four million phrases; for more of them it lets more through."""


class Grams:
    """All runs of `length` words of some lines. A shorter line is found only where a whole text equals it."""

    def __init__(self, lines: Sequence[Words], length: int, lines_max: int):
        self._lines, self._length = lines, length
        self._whole: dict[tuple[str, ...], int] = {}
        hashes, owners, starts = [], [], []
        for place, line in enumerate(lines):
            if len(line) < length:
                self._whole.setdefault(tuple(line.spelt), place)
                continue
            found, first = np.unique(_runs(line.hashes, length), return_index=True)
            hashes.append(found)
            starts.append(first)
            owners.append(np.full(len(found), place))
        self._hashes, self._owners, self._starts = _in_order(hashes, owners, starts, lines_max)
        self._sieve = _Sieve(self._hashes)

    def find(self, text: Words) -> Match | None:
        """Return the first run that the text shares with a line, as far as it goes."""
        whole = self._whole.get(tuple(text.spelt)) if 0 < len(text) < self._length else None
        if whole is not None:
            return Match(whole, " ".join(text.spelt), 1.0)
        if len(text) < self._length or not len(self._hashes):
            return None
        hashes = _runs(text.hashes, self._length)
        possible = self._sieve.places(hashes)
        places = np.minimum(np.searchsorted(self._hashes, hashes[possible]), len(self._hashes) - 1)
        for at in np.flatnonzero(self._hashes[places] == hashes[possible]).tolist():
            start = int(possible[at])
            owner, begin = int(self._owners[places[at]]), int(self._starts[places[at]])
            shared = _shared(text.spelt, start, self._lines[owner].spelt, begin)
            if shared >= self._length:  # equal hashes of unequal words are possible, if hardly
                return Match(owner, " ".join(text.spelt[start : start + shared]), 1.0)
        return None


def _in_order(
    hashes: list[Hashes], owners: list[npt.NDArray[np.int64]], starts: list[npt.NDArray[np.int64]], lines_max: int
) -> tuple[Hashes, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Sort by hash, and leave out those of more than `lines_max` lines."""
    if not hashes:
        nothing = np.zeros(0, dtype=np.int64)
        return np.zeros(0, dtype=np.uint64), nothing, nothing
    every, owner, start = np.concatenate(hashes), np.concatenate(owners), np.concatenate(starts)
    distinct, first, counts = np.unique(every, return_index=True, return_counts=True)
    rare = first[counts <= lines_max]
    return distinct[counts <= lines_max], owner[rare], start[rare]


def _shared(one: Sequence[str], start: int, other: Sequence[str], begin: int) -> int:
    count = 0
    for left, right in zip(one[start : start + len(other)], other[begin:], strict=False):
        if left != right:
            break
        count += 1
    return count


class Fuzzy:
    """Lines found again where words were changed: candidates share rare pairs of words, their letters decide."""

    def __init__(self, lines: Sequence[Words], threshold: float, words_min: int):
        self._lines = [line.spelt[:_FUZZY_WORDS_MAX] for line in lines]
        self._threshold = threshold
        pairs = [
            np.unique(_runs(line.hashes[:_FUZZY_WORDS_MAX], 2)) if len(line) >= words_min else _NONE for line in lines
        ]
        self._pairs = pairs
        owners = np.repeat(np.arange(len(pairs)), [len(found) for found in pairs])
        every = np.concatenate([_NONE, *pairs])
        order = np.argsort(every, kind="stable")
        self._owners = owners[order]
        self._hashes, self._first, counts = np.unique(every[order], return_index=True, return_counts=True)
        weights = np.log1p(len(lines) / np.maximum(counts, 1))
        weights[counts > max(_COMMON_MIN, _COMMON_SHARE * len(lines))] = 0
        self._counts, self._weights = counts, weights
        self._sieve = _Sieve(self._hashes[weights > 0])
        self._total = np.bincount(self._owners, np.repeat(weights, counts), minlength=len(lines))

    def find(self, text: Words) -> Match | None:
        """Return the line most like a stretch of the text, from the threshold on."""
        from rapidfuzz.fuzz import partial_ratio_alignment

        best = None
        pairs = _runs(text.hashes, 2)
        for candidate in self._candidates(pairs):
            line = " ".join(self._lines[candidate])
            stretch = " ".join(self._stretch(text.spelt, pairs, candidate))
            least = max(self._threshold, best.similarity if best else 0) * 100
            if len(stretch) < len(line) * self._threshold:
                continue
            found = partial_ratio_alignment(line, stretch, score_cutoff=least)
            if found and (best is None or found.score / 100 > best.similarity):
                # Of the two the shorter one is sought within the longer: the line, unless the text is short itself.
                shown = stretch[found.dest_start : found.dest_end]
                best = Match(candidate, shown, found.score / 100)
        return best

    def _candidates(self, pairs: Hashes) -> Iterator[int]:
        if not len(pairs) or not len(self._hashes):
            return
        distinct = np.unique(pairs[self._sieve.places(pairs)])
        places = np.minimum(np.searchsorted(self._hashes, distinct), len(self._hashes) - 1)
        places = places[(self._hashes[places] == distinct) & (self._weights[places] > 0)]
        if not len(places):
            return
        counts = self._counts[places]
        # The owners of a pair stand side by side: from its first on, as many as it has.
        at = np.arange(counts.sum()) + np.repeat(self._first[places] - np.cumsum(counts) + counts, counts)
        sums = np.bincount(self._owners[at], np.repeat(self._weights[places], counts))
        shared = np.flatnonzero(sums)
        shares = sums[shared] / self._total[shared]
        enough = shares >= _SHARE_MIN
        order = np.argsort(-shares[enough], kind="stable")
        yield from shared[enough][order][:_CANDIDATES].tolist()

    def _stretch(self, text: Sequence[str], pairs: Hashes, candidate: int) -> Sequence[str]:
        """Return the part of the text, half as long again as the line, that shares most pairs with it."""
        length = math.ceil(len(self._lines[candidate]) * 1.5)
        if len(text) <= length:
            return text
        shared = np.cumsum(np.concatenate([[0], np.isin(pairs, self._pairs[candidate])]))
        width = min(length, len(shared) - 1)
        in_window = shared[width:] - shared[:-width]
        # Of equal windows the middle one, so that the line does not lie at an edge.
        best = np.flatnonzero(in_window == in_window.max())
        start = int(best[len(best) // 2])
        return text[start : start + length]


_NONE: Hashes = np.zeros(0, dtype=np.uint64)
