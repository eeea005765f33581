"""Locality-sensitive hashing: signatures of texts, their bands, and which earlier texts share one."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from filters.shingles import Sets, Wide

RECALL_MIN = 0.98
"""Of pairs exactly at the threshold; datasketch's own choice of bands finds 0.83 of planted pairs."""
CANDIDATES_MAX = 1000
"""Earlier texts looked at for one: boilerplate that thousands share must not make each of them slow."""
LEVEL_ENTRIES_MAX = 2**24
"""Arrays that would grow longer, past 128 MiB, are left apart: merging two takes as much memory again."""
WAITING_ENTRIES_MAX = 2**22
"""Sorted in at once, at the latest: while everything is known from an earlier run, nobody asks."""
PLACE_BITS = 28
"""An entry is the key of a band and, in its low bits, the place of the text: room for 268 million texts. The 36 bits
left for the key bring a text one chance candidate in twenty among ten million texts; each is checked anyway."""
PLACE = np.uint64(2**PLACE_BITS - 1)
ODD = np.random.default_rng(2).integers(0, 2**63, size=1024, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_SEEN_BITS_MIN = 22
Numbers = npt.NDArray[np.int64]


class Bands:
    """The bands of texts, sorted: 8 bytes each, and 1 to 2 for a table that says at a glance that a key is new."""

    def __init__(self, threshold: float, permutations: int):
        self._bins = permutations
        self.count, self._rows = bands(threshold, permutations)
        self._levels: list[Wide] = []
        """Entries; each level is at least twice as long as the next."""
        self._waiting: list[Wide] = []
        """Entries added since somebody last asked."""
        self._waits = self._entries = 0
        self._seen_bits = _SEEN_BITS_MIN
        self._seen = np.zeros(1 << (self._seen_bits - 3), np.uint8)

    def keys(self, sets: Sets, count: int) -> Wide:
        """Return the key of each text's bands, shape (texts, bands), with the bits of a place left empty."""
        signature = _signatures(sets, count, self._bins)[:, : self.count * self._rows]
        keys = signature.reshape(count, self.count, self._rows) @ ODD[: self._rows] + ODD[: self.count]
        return ((keys ^ (keys >> np.uint64(31))) * ODD[-1]) & ~PLACE

    def add(self, keys: Wide, first: int) -> None:
        """Remember the keys of texts, shape (texts, bands), at the places from `first` on."""
        places = np.arange(first, first + len(keys), dtype=np.uint64)
        self._waiting.append((keys | places[:, None]).ravel())
        self._waits += keys.size
        if self._waits >= WAITING_ENTRIES_MAX:
            self._sort()

    def _sort(self) -> None:
        """Sort in what waits."""
        if not self._waiting:
            return
        level = np.sort(np.concatenate(self._waiting))
        self._entries += len(level)
        self._waiting, self._waits = [], 0
        fresh = level
        # Few levels to search, and each entry sorted in anew a handful of times.
        while self._levels and len(self._levels[-1]) < min(2 * len(level), LEVEL_ENTRIES_MAX - len(level)):
            level = np.append(self._levels.pop(), level)
            # Of two runs that are in order already, a stable sort makes one in a single pass; in place, to save memory.
            level.sort(kind="stable")
        self._levels.append(level)
        if self._entries << 3 <= 1 << self._seen_bits:
            self._see(fresh)
            return
        while self._entries << 3 > 1 << self._seen_bits:
            self._seen_bits += 1
        self._seen = np.zeros(1 << (self._seen_bits - 3), np.uint8)
        for level in self._levels:
            self._see(level)

    def sharing(self, keys: Wide) -> dict[int, list[int]]:
        """Return for each text, by its row, the places of earlier ones that share a band with it, lowest first."""
        pairs = np.array([], dtype=np.uint64)
        for some in self._pairs(keys, CANDIDATES_MAX):
            pairs = _first_of_each(np.append(pairs, some))
        return _by_text(pairs)

    def closest(self, keys: Wide, first: int, most: int) -> dict[int, list[int]]:
        """Return for each text, by its row, up to `most` before it, those that share the most bands with it first.

        The texts are here already, from the place `first` on. Of those that share one band the `most` earliest count.
        """
        pairs = np.sort(np.concatenate([np.array([], np.uint64), *self._pairs(keys, most)]))
        pairs = pairs[(pairs & PLACE) < np.uint64(first) + (pairs >> np.uint64(PLACE_BITS))]
        starts = np.flatnonzero(np.append(True, pairs[1:] != pairs[:-1])[: len(pairs)])
        shared = np.diff(starts, append=len(pairs))
        pairs = pairs[starts]
        texts = pairs >> np.uint64(PLACE_BITS)
        # Within a text, equal numbers of bands stay in the order of places.
        pairs = pairs[np.lexsort((-shared, texts))]
        return _by_text(pairs[np.arange(len(pairs)) - np.searchsorted(texts, texts) < most])

    def _pairs(self, keys: Wide, most: int) -> Iterator[Wide]:
        """Yield a text's row (high bits) and a place as often as they share a band; of a band the `most` lowest places.

        An array for each level, the oldest first.
        """
        self._sort()
        flat = keys.ravel()
        maybe = np.flatnonzero(self._seen[self._byte(flat)] & self._bit(flat))
        # In their order, each search goes on where the one before it ended.
        maybe = maybe[np.argsort(flat[maybe])]
        wanted = flat[maybe]
        texts = (maybe // self.count).astype(np.uint64) << np.uint64(PLACE_BITS)
        left = np.full(len(wanted), most)
        for level in self._levels:
            starts = np.searchsorted(level, wanted)
            hits = np.flatnonzero(level[np.minimum(starts, len(level) - 1)] & ~PLACE == wanted)
            if not len(hits):
                continue
            counts = np.searchsorted(level, wanted[hits] | PLACE, side="right") - starts[hits]
            counts = np.minimum(counts, left[hits])
            left[hits] -= counts
            yield np.repeat(texts[hits], counts) | level[_runs(starts[hits], counts)] & PLACE

    def _see(self, entries: Wide) -> None:
        """Mark sorted entries in the table."""
        # A slice at a time: what is computed of a long level would take as much memory again.
        for at in range(0, len(entries), 1 << 20):
            some = entries[at : at + (1 << 20)]
            places = self._byte(some)
            firsts = np.flatnonzero(np.append(True, places[1:] != places[:-1]))
            self._seen[places[firsts]] |= np.bitwise_or.reduceat(self._bit(some), firsts)

    def _byte(self, keys: Wide) -> Numbers:
        return (keys >> np.uint64(67 - self._seen_bits)).astype(np.int64)

    def _bit(self, keys: Wide) -> npt.NDArray[np.uint8]:
        return np.uint8(1) << ((keys >> np.uint64(64 - self._seen_bits)).astype(np.uint8) & np.uint8(7))


def bands(threshold: float, permutations: int) -> tuple[int, int]:
    """Return (bands, rows): the most rows, so the fewest chance candidates, that keep the recall at the threshold.

    A pair of similarity s shares a band of r rows with probability s**r, and one of b bands with 1 - (1 - s**r)**b.
    """
    for rows in range(permutations // 2, 1, -1):
        count = permutations // rows
        if 1 - (1 - threshold**rows) ** count >= RECALL_MIN:
            return count, rows
    return permutations, 1


def beside(keys: Wide) -> dict[int, set[int]]:
    """Return for each text, by its row, those before it in `keys` that share a band with it."""
    order = np.argsort(keys, axis=None)
    flat = keys.ravel()[order]
    ends = np.flatnonzero(np.append(flat[1:] != flat[:-1], True)) + 1
    starts = np.append(0, ends[:-1])
    found: dict[int, set[int]] = {}
    for run in np.flatnonzero(ends - starts > 1):
        numbers = sorted((order[starts[run] : ends[run]] // keys.shape[1]).tolist())
        for place in range(1, len(numbers)):
            found.setdefault(numbers[place], set()).update(numbers[:place])
    return found


def _signatures(sets: Sets, count: int, bins: int) -> Wide:
    """Return the smallest hash of each range, shape (texts, bins), borrowed ones marked with how far they come."""
    of_hash = ((sets.hashes.astype(np.uint64) * np.uint64(bins)) >> np.uint64(32)).astype(np.int64)
    sizes = np.bincount(sets.text * bins + of_hash, minlength=count * bins).reshape(count, bins)
    # The first hash in the range or, where there is none, in the next to the right; behind the last, the text's first.
    source = np.cumsum(sizes, axis=None).reshape(count, bins) - sizes
    behind = source == sets.ends[:, None]
    starts = np.append(0, sets.ends[:-1])
    source = np.where(behind, starts[:, None], source)
    far = of_hash[source] + behind * bins - np.arange(bins)
    return sets.hashes[source] | (far.astype(np.uint64) << np.uint64(32))


def _runs(starts: Numbers, counts: Numbers) -> Numbers:
    """Return start, start + 1, … for each run of `counts` numbers, one run after the other."""
    return np.arange(counts.sum()) + np.repeat(starts - np.cumsum(counts) + counts, counts)


def _by_text(pairs: Wide) -> dict[int, list[int]]:
    """Return the places of each text, in the order of the pairs."""
    found: dict[int, list[int]] = {}
    for pair in pairs.tolist():
        found.setdefault(pair >> PLACE_BITS, []).append(pair & int(PLACE))
    return found


def _first_of_each(pairs: Wide) -> Wide:
    """Return pairs of text (high bits) and place, sorted and distinct: of each text the lowest places."""
    pairs = np.sort(pairs)
    pairs = pairs[np.append(True, pairs[1:] != pairs[:-1])]
    texts = pairs & ~PLACE
    return pairs[np.arange(len(pairs)) - np.searchsorted(texts, texts) < CANDIDATES_MAX]
