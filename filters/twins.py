"""An index of texts that answers, for each text added: which earlier one is it a near-duplicate of?"""

import os
import tempfile
from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.shingles import Hashes, Sets, Wide, jaccard, normal, shingles
from filters.sketches import Sketches

RECALL_MIN = 0.98
"""Of pairs exactly at the threshold; datasketch's own choice of bands finds 0.83 of planted pairs."""
CANDIDATES_MAX = 1000
"""Earlier texts looked at for one: boilerplate that thousands share must not make each of them slow."""
LEVEL_ENTRIES_MAX = 2**26
"""Arrays that would grow longer, past 512 MiB, are left apart: merging two takes as much memory again."""
_ODD = np.random.default_rng(2).integers(0, 2**63, size=1024, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_NO_GROUP = -(2**63)
_PLACE_BITS = 28
"""An entry is the key of a band and, in its low bits, the place of the text: room for 268 million texts. The 36 bits
left for the key bring a text one chance candidate in twenty among ten million texts; each is checked anyway."""
_PLACE = np.uint64(2**_PLACE_BITS - 1)

Text = tuple[int, str, int | None]
"""Id, text and group. With a group it is compared only with texts of other groups, without one with all."""
Numbers = npt.NDArray[np.int64]


class Twin(NamedTuple):
    """An earlier text that is nearly the same, by its id."""

    id: int
    similarity: float


class TwinIndex:
    """Near-duplicates among texts added a few hundred at a time; how they are cut into calls changes nothing.

    MinHash with one permutation: a text's hashes fall into equal ranges, the smallest of each range is its signature
    (Li, Owen and Zhang 2012), and an empty range borrows from the next (Shrivastava and Li 2014). Texts that agree in a
    whole band are candidates; the Jaccard similarity of their sets decides. In memory a text takes some 170 bytes,
    in a temporary file 4 bytes a phrase.
    """

    def __init__(self, threshold: float, shingle_words: int, permutations: int, sketches: Sketches | None = None):
        """Give `sketches` to look up the phrases of known texts there; the temporary file is then in their folder."""
        self._threshold = threshold
        self._words = shingle_words
        self._bins = permutations
        self._bands, self._rows = bands(threshold, permutations)
        self._sketches = sketches
        self._levels: list[Wide] = []
        """Entries, sorted; each level is at least twice as long as the next."""
        self._ids, self._groups, self._ends = array("q"), array("q"), array("q", [0])
        self._sets = tempfile.TemporaryFile(dir=sketches.folder if sketches else None)  # noqa: SIM115 - see close()

    def close(self) -> None:
        """Give the temporary file back."""
        self._sets.close()

    def add(self, texts: Sequence[Text]) -> list[Twin | None]:
        """Return for each text the most similar earlier one, or None and remember it."""
        if not texts:
            return []
        sets = self._shingled([text for _, text, _ in texts])
        keys = self._keys(sets, len(texts))
        order = np.argsort(keys, axis=None)
        twins: list[Twin | None] = [None] * len(texts)
        earlier, beside = self._earlier(keys, order), _beside(keys, order)
        for number in sorted(earlier.keys() | beside.keys()):
            kept = [other for other in sorted(beside.get(number, ())) if twins[other] is None]
            twins[number] = self._nearest(texts, sets, number, earlier.get(number, []), kept)
        self._remember(texts, sets, keys, np.array([twin is None for twin in twins]))
        return twins

    def _shingled(self, texts: list[str]) -> Sets:
        if self._sketches:
            return self._sketches.of(texts)
        return shingles([normal(text) for text in texts], self._words)

    def _keys(self, sets: Sets, count: int) -> Wide:
        """Return the key of each text's bands, shape (texts, bands), with the bits of a place left empty."""
        signature = _signatures(sets, count, self._bins)[:, : self._bands * self._rows]
        keys = signature.reshape(count, self._bands, self._rows) @ _ODD[: self._rows] + _ODD[: self._bands]
        return ((keys ^ (keys >> np.uint64(31))) * _ODD[-1]) & ~_PLACE

    def _earlier(self, keys: Wide, order: Numbers) -> dict[int, list[int]]:
        """Return for each text the places, lowest first, of those in the index that share a band with it."""
        # In their order, each search goes on where the one before it ended.
        wanted = keys.ravel()[order]
        texts = (order // self._bands).astype(np.uint64) << np.uint64(_PLACE_BITS)
        pairs = np.array([], dtype=np.uint64)
        for level in self._levels:
            starts = np.searchsorted(level, wanted)
            hits = np.flatnonzero(level[np.minimum(starts, len(level) - 1)] & ~_PLACE == wanted)
            if not len(hits):
                continue
            counts = np.searchsorted(level, wanted[hits] | _PLACE, side="right") - starts[hits]
            counts = np.minimum(counts, CANDIDATES_MAX)
            places = level[_runs(starts[hits], counts)] & _PLACE
            pairs = _first_of_each(np.append(pairs, np.repeat(texts[hits], counts) | places))
        found: dict[int, list[int]] = {}
        for pair in pairs.tolist():
            found.setdefault(pair >> _PLACE_BITS, []).append(pair & int(_PLACE))
        return found

    def _nearest(
        self, texts: Sequence[Text], sets: Sets, number: int, places: list[int], beside: list[int]
    ) -> Twin | None:
        group, mine, best = texts[number][2], sets.of(number), None
        others = [(self._ids[place], self._groups[place], place, self._stored) for place in places]
        others += [(texts[other][0], _group(texts[other]), other, sets.of) for other in beside]
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

    def _stored(self, place: int) -> Hashes:
        start, end = self._ends[place], self._ends[place + 1]
        return np.frombuffer(os.pread(self._sets.fileno(), 4 * (end - start), 4 * start), dtype=np.uint32)

    def _remember(self, texts: Sequence[Text], sets: Sets, keys: Wide, kept: npt.NDArray[np.bool_]) -> None:
        numbers = np.flatnonzero(kept)
        if not len(numbers):
            return
        first = len(self._ids)
        if first + len(numbers) > int(_PLACE):
            raise ValueError(f"near_duplicate compares at most {int(_PLACE):,} texts: curate in several datasets")
        self._sets.write(sets.hashes[kept[sets.text]].data)
        self._sets.flush()
        sizes = np.diff(sets.ends, prepend=0)[numbers]
        self._ends.frombytes((self._ends[-1] + np.cumsum(sizes)).tobytes())
        self._ids.extend(texts[number][0] for number in numbers)
        self._groups.extend(_group(texts[number]) for number in numbers)
        places = np.arange(first, first + len(numbers), dtype=np.uint64)
        level = np.sort(keys[numbers] | places[:, None], axis=None)
        # Few levels to search, and each entry sorted in anew a handful of times.
        while self._levels and len(self._levels[-1]) < min(2 * len(level), LEVEL_ENTRIES_MAX - len(level)):
            # Of two runs that are in order already, a stable sort makes one in a single pass.
            level = np.sort(np.append(self._levels.pop(), level), kind="stable")
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


def _signatures(sets: Sets, count: int, bins: int) -> Wide:
    """Return the smallest hash of each range, shape (texts, bins), borrowed ones marked with how far they come."""
    of_hash = ((sets.hashes.astype(np.uint64) * np.uint64(bins)) >> np.uint64(32)).astype(np.int64)
    ends = np.bincount(sets.text * bins + of_hash, minlength=count * bins).reshape(count, bins)
    # The first hash in the range or, where there is none, in the next to the right; behind the last, the text's first.
    source = np.cumsum(ends, axis=None).reshape(count, bins) - ends
    behind = source == sets.ends[:, None]
    starts = np.append(0, sets.ends[:-1])
    source = np.where(behind, starts[:, None], source)
    far = of_hash[source] + behind * bins - np.arange(bins)
    return sets.hashes[source] | (far.astype(np.uint64) << np.uint64(32))


def _runs(starts: Numbers, counts: Numbers) -> Numbers:
    """Return start, start + 1, … for each run of `counts` numbers, one run after the other."""
    return np.arange(counts.sum()) + np.repeat(starts - np.cumsum(counts) + counts, counts)


def _first_of_each(pairs: Wide) -> Wide:
    """Return pairs of text (high bits) and place, sorted and distinct: of each text the lowest places."""
    pairs = np.sort(pairs)
    pairs = pairs[np.append(True, pairs[1:] != pairs[:-1])]
    texts = pairs & ~_PLACE
    return pairs[np.arange(len(pairs)) - np.searchsorted(texts, texts) < CANDIDATES_MAX]


def _beside(keys: Wide, order: Numbers) -> dict[int, set[int]]:
    """Return for each text those before it in the same call that share a band with it; `order` sorts all keys."""
    flat = keys.ravel()[order]
    ends = np.flatnonzero(np.append(flat[1:] != flat[:-1], True)) + 1
    starts = np.append(0, ends[:-1])
    found: dict[int, set[int]] = {}
    for run in np.flatnonzero(ends - starts > 1):
        numbers = sorted((order[starts[run] : ends[run]] // keys.shape[1]).tolist())
        for place in range(1, len(numbers)):
            found.setdefault(numbers[place], set()).update(numbers[:place])
    return found


def _group(text: Text) -> int:
    return _NO_GROUP if text[2] is None else text[2]
