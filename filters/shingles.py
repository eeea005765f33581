"""Texts as sets of overlapping phrases, hashed; the arithmetic behind `near_duplicate`."""

import numpy as np
import numpy.typing as npt
import xxhash

Hashes = npt.NDArray[np.uint64]

_CHARACTERS = 4
"""Length of a shingle in characters, where there are too few words."""
_WORD_CHARS_MAX = 24
"""Longer words on average mean a script without spaces, or code in one line."""
_WEIGHT = np.uint64(0x9E3779B97F4A7C15)  # odd, from the golden ratio: spreads its powers over all 64 bits


def normal(text: str) -> bytes:
    """Return the text without what makes no difference between duplicates, case and spacing, as UTF-8."""
    # Half a surrogate pair is no valid text, yet models do write it.
    return " ".join(text.casefold().split()).encode(errors="surrogatepass")


def shingles(normalised: bytes, words: int) -> Hashes:
    """Return the sorted, distinct 64-bit hashes of all runs of `words` words, or of characters where words are few."""
    spelt = normalised.split(b" ")
    if len(spelt) < words or len(normalised) > _WORD_CHARS_MAX * len(spelt):
        text = normalised.decode(errors="surrogatepass").encode("utf-32-le", "surrogatepass")
        return _runs(np.frombuffer(text, dtype="<u4").astype(np.uint64), _CHARACTERS)
    return _runs(np.fromiter(map(xxhash.xxh3_64_intdigest, spelt), dtype=np.uint64), words)


def _runs(pieces: Hashes, length: int) -> Hashes:
    """Hash every run of this length: a polynomial in its pieces, modulo 2**64."""
    length = min(length, len(pieces))
    combined = np.zeros(len(pieces) - length + 1, dtype=np.uint64)
    for place in range(length):
        combined = combined * _WEIGHT + pieces[place : place + len(combined)]
    return np.unique(combined)


def jaccard(one: Hashes, other: Hashes) -> float:
    """Return the exact share of shingles that two sets have in common."""
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)
