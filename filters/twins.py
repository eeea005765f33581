"""An index of texts that answers, for each text added: which earlier one is it a near-duplicate of?"""

from typing import NamedTuple, cast

import numpy as np
import xxhash
from datasketch import MinHash, MinHashLSH

from filters.shingles import Hashes, jaccard, normal, shingles

RECALL_MIN = 0.98
"""Of pairs exactly at the threshold; datasketch's own choice of bands finds 0.83 of planted pairs."""
_SEED = 1
_LOW_BITS = np.uint64(0xFFFFFFFF)


class Twin(NamedTuple):
    """An earlier text that is nearly the same, by its id."""

    id: int
    similarity: float


class _Kept(NamedTuple):
    id: int
    group: int | None
    hashes: Hashes


class TwinIndex:
    """Near-duplicates among texts added one by one. Deterministic: the same texts in the same order, the same twins."""

    def __init__(self, threshold: float, shingle_words: int, permutations: int):
        self._threshold = threshold
        self._words = shingle_words
        self._blank = MinHash(num_perm=permutations, seed=_SEED, hashfunc=int, scheme="affine32")
        self._lsh = MinHashLSH(num_perm=permutations, params=bands(threshold, permutations))
        self._kept: list[_Kept] = []
        self._exact: dict[bytes, _Kept] = {}

    def add(self, text_id: int, text: str, group: int | None = None) -> Twin | None:
        """Return the most similar earlier text of another group, or remember this one.

        Texts with a group are compared only with other groups; those without one with all.
        """
        normalised = normal(text)
        digest = xxhash.xxh3_128_digest(normalised)
        same = self._exact.get(digest)
        if same is not None:
            # The same text in the same group is in the index already, and finds no other twin than it did.
            return None if group is not None and same.group == group else Twin(same.id, 1.0)
        hashes = shingles(normalised, self._words)
        signature = self._blank.copy()
        signature.update_batch((hashes & _LOW_BITS).tolist())
        places = cast(list[int], self._lsh.query(signature))
        twin = self._nearest(hashes, group, [self._kept[place] for place in sorted(places)])
        if twin is None:
            self._lsh.insert(len(self._kept), signature, check_duplication=False)
            self._kept.append(_Kept(text_id, group, hashes))
            self._exact[digest] = self._kept[-1]
        return twin

    def _nearest(self, hashes: Hashes, group: int | None, candidates: list[_Kept]) -> Twin | None:
        best = None
        for kept in candidates:
            if group is not None and kept.group == group:
                continue
            shorter, longer = sorted((len(hashes), len(kept.hashes)))
            if shorter < self._threshold * longer:
                continue
            similarity = jaccard(hashes, kept.hashes)
            if similarity >= self._threshold and (best is None or similarity > best.similarity):
                best = Twin(kept.id, similarity)
        return best


def bands(threshold: float, permutations: int) -> tuple[int, int]:
    """Return (bands, rows): the most rows, so the fewest chance candidates, that keep the recall at the threshold.

    A pair of similarity s shares a band of r rows with probability s**r, and one of b bands with 1 - (1 - s**r)**b.
    """
    for rows in range(permutations // 2, 1, -1):
        count = permutations // rows
        if 1 - (1 - threshold**rows) ** count >= RECALL_MIN:
            return count, rows
    return permutations, 1
