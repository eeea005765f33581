"""An index of texts that answers, for each text added: which earlier one is it a near-duplicate of?"""

import os
import tempfile
from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.shingles import Hashes, Sets, Wide, jaccard, normal, shingles

RECALL_MIN = 0.98
"""Of pairs exactly at the threshold; datasketch's own choice of bands finds 0.83 of planted pairs."""
CANDIDATES_MAX = 1000
"""Earlier texts looked at for one: boilerplate that thousands share must not make each of them slow."""
_ODD = np.random.default_rng(2).integers(0, 2**63, size=1024, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_NO_GROUP = -(2**63)


Text = tuple[int, str, int | None]
"""Id, text and group. With a group it is compared only with texts of other groups, without one with all."""


class Twin(NamedTuple):
    """An earlier text that is nearly the same, by its id."""

    id: int
    similarity: float


class _Level(NamedTuple):
    """Keys of bands, sorted, and the places of the texts they are of."""

    keys: Wide
    places: npt.NDArray[np.uint32]


class TwinIndex:
    """Near-duplicates among texts added a few hundred at a time; how they are cut into calls changes nothing.

    MinHash with one permutation: a text's hashes fall into equal ranges, the smallest of each range is its signature
    (Li, Owen and Zhang 2012), and an empty range borrows from the next (Shrivastava and Li 2014). Texts that agree in a
    whole band are candidates; the Jaccard similarity of their sets decides. In memory a text takes some 250 bytes,
    in a temporary file 4 bytes a phrase.
    """

    def __init__(self, threshold: float, shingle_words: int, permutations: int):
        self._threshold = threshold
        self._words = shingle_words
        self._bins = permutations
        self._bands, self._rows = bands(threshold, permutations)
        self._levels: list[_Level] = []
        self._ids, self._groups, self._ends = array("q"), array("q"), array("q", [0])
        self._sets = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the index

    def close(self) -> None:
        """Give the temporary file back."""
        self._sets.close()

    def add(self, texts: Sequence[Text]) -> list[Twin | None]:
        """Return for each text the most similar earlier one, or None and remember it."""
        if not texts:
            return []
        sets = shingles([normal(text) for _, text, _ in texts], self._words)
        keys = self._keys(sets, len(texts))
        twins: list[Twin | None] = [None] * len(texts)
        earlier, beside = self._earlier(keys), _beside(keys)
        for number in sorted(earlier.keys() | beside.keys()):
            kept = [other for other in sorted(beside.get(number, ())) if twins[other] is None]
            twins[number] = self._nearest(texts, sets, number, sorted(earlier.get(number, ())), kept)
        self._remember(texts, sets, keys, [number for number, twin in enumerate(twins) if twin is None])
        return twins

    def _keys(self, sets: Sets, count: int) -> Wide:
        """Return the key of each text's bands, shape (texts, bands)."""
        bins = np.uint64(self._bins)
        at = sets.text * self._bins + ((sets.hashes.astype(np.uint64) * bins) >> np.uint64(32)).astype(np.int64)
        first = np.flatnonzero(np.append(True, at[1:] != at[:-1]))
        signature = np.zeros(count * self._bins, dtype=np.uint64)
        signature[at[first]] = sets.hashes[first]
        filled = np.zeros(count * self._bins, dtype=bool)
        filled[at[first]] = True
        dense = _borrowed(signature.reshape(count, -1), filled.reshape(count, -1))
        rows = dense[:, : self._bands * self._rows].reshape(count, self._bands, self._rows)
        keys = (rows * _ODD[: self._rows]).sum(axis=2, dtype=np.uint64) + _ODD[: self._bands]
        return (keys ^ (keys >> np.uint64(31))) * _ODD[-1]

    def _earlier(self, keys: Wide) -> dict[int, set[int]]:
        """Return for each text the places of those in the index that share a band with it."""
        found: dict[int, set[int]] = {}
        flat = keys.ravel()
        for level in self._levels:
            at = np.searchsorted(level.keys, flat)
            hits = np.flatnonzero(level.keys[np.minimum(at, len(level.keys) - 1)] == flat)
            ends = np.searchsorted(level.keys, flat[hits], side="right")
            for hit, start, end in zip(hits.tolist(), at[hits].tolist(), ends.tolist(), strict=True):
                places = found.setdefault(hit // self._bands, set())
                if len(places) < CANDIDATES_MAX:
                    places.update(level.places[start : min(end, start + CANDIDATES_MAX)].tolist())
        return found

    def _nearest(
        self, texts: Sequence[Text], sets: Sets, number: int, places: list[int], beside: list[int]
    ) -> Twin | None:
        group, mine, best = texts[number][2], sets.of(number), None
        others = [(self._ids[place], self._groups[place], place, self._stored) for place in places]
        others += [(texts[other][0], _group(texts[other]), other, sets.of) for other in beside]
        for text_id, of_group, at, read in others:
            if group is not None and of_group == group:
                continue
            yours = read(at)
            shorter, longer = sorted((len(mine), len(yours)))
            if shorter < self._threshold * longer:
                continue
            similarity = jaccard(mine, yours)
            if similarity >= self._threshold and (best is None or similarity > best.similarity):
                best = Twin(text_id, similarity)
        return best

    def _stored(self, place: int) -> Hashes:
        start, end = self._ends[place], self._ends[place + 1]
        return np.frombuffer(os.pread(self._sets.fileno(), 4 * (end - start), 4 * start), dtype=np.uint32)

    def _remember(self, texts: Sequence[Text], sets: Sets, keys: Wide, kept: list[int]) -> None:
        if not kept:
            return
        first = len(self._ids)
        for number in kept:
            hashes = sets.of(number)
            self._sets.write(hashes.tobytes())
            self._ends.append(self._ends[-1] + len(hashes))
            self._ids.append(texts[number][0])
            self._groups.append(_group(texts[number]))
        self._sets.flush()
        places = np.repeat(np.arange(first, first + len(kept), dtype=np.uint32), self._bands)
        level = _sorted(keys[kept].ravel(), places)
        # Few levels to search, and each key sorted in anew a handful of times: every level is twice the next.
        while self._levels and len(self._levels[-1].keys) < 2 * len(level.keys):
            smaller = self._levels.pop()
            level = _sorted(np.append(smaller.keys, level.keys), np.append(smaller.places, level.places))
        self._levels.append(level)


def bands(threshold: float, permutations: int) -> tuple[int, int]:
    """Return (bands, rows): the most rows, so the fewest chance candidates, that keep the recall at the threshold.

    A pair of similarity s shares a band of r rows with probability s**r, and one of b bands with 1 - (1 - s**r)**b.
    """
    for rows in range(permutations // 2, 1, -1):
        count = permutations // rows
        if 1 - (1 - threshold**rows) ** count >= RECALL_MIN:
            return count, rows
    return permutations, 1


def _borrowed(signature: Wide, filled: npt.NDArray[np.bool_]) -> Wide:
    """Fill empty ranges from the next filled one to the right, marked with how far that is."""
    if filled.all():
        return signature
    count = signature.shape[1]
    places = np.where(np.tile(filled, 2), np.arange(2 * count), 2 * count)
    source = np.minimum.accumulate(places[:, ::-1], axis=1)[:, ::-1][:, :count]
    far = (source - np.arange(count)).astype(np.uint64)
    return np.take_along_axis(signature, source % count, axis=1) + (far << np.uint64(32))


def _beside(keys: Wide) -> dict[int, set[int]]:
    """Return for each text those before it in the same call that share a band with it."""
    flat = keys.ravel()
    order = np.argsort(flat, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(flat[order]) != 0, True)) + 1
    starts = np.append(0, ends[:-1])
    found: dict[int, set[int]] = {}
    for run in np.flatnonzero(ends - starts > 1):
        numbers = (order[starts[run] : ends[run]] // keys.shape[1]).tolist()
        for place in range(1, len(numbers)):
            found.setdefault(numbers[place], set()).update(numbers[:place])
    return found


def _sorted(keys: Wide, places: npt.NDArray[np.uint32]) -> _Level:
    order = np.argsort(keys, kind="stable")
    return _Level(keys[order], places[order])


def _group(text: Text) -> int:
    return _NO_GROUP if text[2] is None else text[2]
