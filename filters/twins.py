"""An index of texts that answers, for each text added: which earlier one is it a near-duplicate of?"""

from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.bands import CANDIDATES_MAX, ODD, PLACE, RECALL_MIN, Bands, beside
from filters.set_file import SetFile
from filters.shingles import Sets, Wide, jaccard, normal, shingles
from filters.sketches import Sketches, digest

VERSION = 1
"""Raised when the same texts could have other twins: what is kept of earlier comparisons is then no longer read."""
_NO_GROUP = -(2**63)
_FOUND = np.dtype([("id", "<i8"), ("similarity", "<f8")])
"""A twin, with similarity 0 where there is none."""


Text = tuple[int, str, int | None]
"""Id, text and group. With a group it is compared only with texts of other groups, without one with all."""


class Twin(NamedTuple):
    """An earlier text that is nearly the same, by its id."""

    id: int
    similarity: float


class TwinIndex:
    """Near-duplicates among texts added a few hundred at a time; how they are cut into calls changes nothing.

    MinHash with one permutation: a text's hashes fall into equal ranges, the smallest of each range is its signature
    (Li, Owen and Zhang 2012), and an empty range borrows from the next (Shrivastava and Li 2014). Texts that agree in a
    whole band are candidates; the Jaccard similarity of their sets decides. In memory a text takes some 200 bytes,
    in a temporary file 4 bytes a phrase.
    """

    def __init__(self, threshold: float, shingle_words: int, permutations: int, sketches: Sketches | None = None):
        """With `sketches`, nothing is computed of what they know, and the temporary file is in their folder."""
        self._threshold = threshold
        self._words = shingle_words
        self._bands = Bands(threshold, permutations)
        self._sketches = sketches
        knobs = (VERSION, threshold, shingle_words, permutations, RECALL_MIN, CANDIDATES_MAX, int(PLACE))
        self._so_far = digest(repr(knobs).encode() + ODD.tobytes())
        """Stands for the knobs and all texts up to here: whatever follows, equal values mean equal answers."""
        self._ids, self._groups = array("q"), array("q")
        self._sets = SetFile(sketches.folder if sketches else None)

    def close(self) -> None:
        """Give the temporary file back."""
        self._sets.close()

    def add(self, texts: Sequence[Text]) -> list[Twin | None]:
        """Return for each text the most similar earlier one, or None and remember it."""
        if not texts:
            return []
        if self._sketches is None:
            sets = shingles([normal(text) for _, text, _ in texts], self._words)
            twins, keys = self._compared(texts, sets)
        else:
            sets, twins, keys = self._looked_up(texts, self._sketches)
        self._remember(texts, sets, keys, [number for number, twin in enumerate(twins) if twin is None])
        return twins

    def _looked_up(self, texts: Sequence[Text], sketches: Sketches) -> tuple[Sets, list[Twin | None], Wide]:
        """Return sets, twins and keys, computing only what is not known from the same texts behind the same texts."""
        digests, sets = sketches.of([text for _, text, _ in texts])
        who = np.array([(text[0], _group(text)) for text in texts], np.int64)
        self._so_far = digest(self._so_far + b"".join(digests) + who.tobytes(), b"behind")
        size = len(texts) * _FOUND.itemsize
        if known := sketches.get(self._so_far):
            keys = np.frombuffer(known[size:], np.uint64).reshape(len(texts), -1)
            return sets, _twins(np.frombuffer(known[:size], _FOUND)), keys
        twins, keys = self._compared(texts, sets)
        sketches.put(self._so_far, _rows(twins).tobytes() + keys.tobytes())
        return sets, twins, keys

    def _compared(self, texts: Sequence[Text], sets: Sets) -> tuple[list[Twin | None], Wide]:
        keys = self._bands.keys(sets, len(texts))
        twins: list[Twin | None] = [None] * len(texts)
        earlier, near = self._bands.sharing(keys), beside(keys)
        for number in sorted(earlier.keys() | near.keys()):
            kept = [other for other in sorted(near.get(number, ())) if twins[other] is None]
            twins[number] = self._nearest(texts, sets, number, earlier.get(number, []), kept)
        return twins, keys

    def _nearest(
        self, texts: Sequence[Text], sets: Sets, number: int, places: list[int], near: list[int]
    ) -> Twin | None:
        group, mine, best = texts[number][2], sets.of(number), None
        others = [(self._ids[place], self._groups[place], place, self._sets.of) for place in places]
        others += [(texts[other][0], _group(texts[other]), other, sets.of) for other in near]
        for text_id, of_group, at, read in others[:CANDIDATES_MAX]:
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

    def _remember(self, texts: Sequence[Text], sets: Sets, keys: Wide, kept: list[int]) -> None:
        if not kept:
            return
        first = len(self._ids)
        if first + len(kept) > PLACE:
            raise ValueError(f"near_duplicate compares at most {int(PLACE):,} texts: curate in several datasets")
        chosen: npt.NDArray[np.bool_] = np.zeros(len(texts), np.bool_)
        chosen[kept] = True
        self._sets.add(sets.hashes[chosen[sets.text]], np.diff(sets.ends, prepend=0)[kept])
        self._ids.extend([texts[number][0] for number in kept])
        self._groups.extend([_group(texts[number]) for number in kept])
        self._bands.add(keys[kept], first)


class Fates:
    """What became of each of many texts, by a number of theirs, in 24 bytes each."""

    def __init__(self) -> None:
        self._levels: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.void]]] = []
        """Sorted numbers and their twins; each level is at least twice as long as the next."""

    def add(self, twins: Mapping[int, Twin | None]) -> None:
        """Remember the twins of new numbers."""
        if not twins:
            return
        numbers, found = np.fromiter(twins, np.int64, len(twins)), _rows(twins.values())
        order = np.argsort(numbers)
        numbers, found = numbers[order], found[order]
        while self._levels and len(self._levels[-1][0]) < 2 * len(numbers):
            before = self._levels.pop()
            numbers, found = np.append(before[0], numbers), np.append(before[1], found)
            order = np.argsort(numbers, kind="stable")
            numbers, found = numbers[order], found[order]
        self._levels.append((numbers, found))

    def of(self, numbers: Collection[int]) -> dict[int, Twin | None]:
        """Return the twins of those numbers that are known."""
        told: dict[int, Twin | None] = {}
        wanted = np.fromiter(numbers, np.int64, len(numbers))
        for known, found in self._levels:
            at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
            hits = at[known[at] == wanted]
            told |= dict(zip(known[hits].tolist(), _twins(found[hits]), strict=True))
        return told


def _rows(twins: Iterable[Twin | None]) -> npt.NDArray[np.void]:
    return np.array([twin or (0, 0) for twin in twins], _FOUND)


def _twins(rows: npt.NDArray[np.void]) -> list[Twin | None]:
    return [Twin(*row) if row[1] else None for row in rows.tolist()]


def _group(text: Text) -> int:
    return _NO_GROUP if text[2] is None else text[2]
