"""Groups of texts that are nearly the same: what must not be torn apart into a train and a test split."""

from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from filters.bands import Bands
from filters.set_file import SetFile
from filters.shingles import Hashes, normal, shingles

THRESHOLD, SHINGLE_WORDS, PERMUTATIONS = 0.8, 5, 128
"""Those of the filter `near_duplicate`, where they are explained."""
COMPARED_MAX = 32
"""Earlier texts that one is compared with: where thousands are made from one template, each shares a band with all."""


class Groups:
    """Texts added a few hundred at a time, joined where a chain of pairs connects them, each as alike as THRESHOLD.

    Candidates come from MinHash bands, as in `near_duplicate`, and the exact Jaccard similarity decides; a text is
    compared with the COMPARED_MAX earlier ones that share the most bands with it. In memory a text takes some 200
    bytes, in a temporary file 4 bytes a phrase.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` is where the temporary file goes."""
        self._bands = Bands(THRESHOLD, PERMUTATIONS)
        self._sets = SetFile(folder)
        self._above = array("q")
        """For each text an earlier one of its group, or itself."""

    def close(self) -> None:
        """Give the temporary file back."""
        self._sets.close()

    def add(self, texts: Sequence[str]) -> None:
        """Add texts; they are numbered from 0 in the order in which they come."""
        if not texts:
            return
        begin = len(self._above)
        self._above.extend(range(begin, begin + len(texts)))
        sets = shingles([normal(text) for text in texts], SHINGLE_WORDS)
        keys = self._bands.keys(sets, len(texts))
        self._sets.add(sets.hashes, np.diff(sets.ends, prepend=0))
        self._bands.add(keys, begin)
        read: dict[int, Hashes] = {}
        for number, places in self._bands.closest(keys, begin, COMPARED_MAX).items():
            self._join(begin + number, places, read)

    def first(self, number: int) -> int:
        """Return the first text of a text's group, itself if it is that."""
        above = self._above
        while above[number] != number:
            above[number] = above[above[number]]
            number = above[number]
        return number

    def _join(self, number: int, places: Sequence[int], read: dict[int, Hashes]) -> None:
        """Join a text with those of `places` that it is nearly the same as; `read` holds sets read so far."""
        # Mostly the first one joins it with the rest, which then need not be compared.
        for some in (places[:1], places[1:]):
            apart = [place for place in some if self.first(place) != self.first(number)]
            for place in self._alike(number, apart, read):
                one, other = self.first(number), self.first(place)
                self._above[max(one, other)] = min(one, other)

    def _alike(self, number: int, places: Sequence[int], read: dict[int, Hashes]) -> list[int]:
        if not places:
            return []
        for place in (number, *places):
            if place not in read:
                read[place] = self._sets.of(place)
        mine, yours = read[number], [read[place] for place in places]
        sizes = np.fromiter(map(len, yours), np.int64, len(yours))
        hashes = np.concatenate(yours)
        found = mine[np.minimum(np.searchsorted(mine, hashes), len(mine) - 1)] == hashes
        common = np.add.reduceat(found.astype(np.int64), np.cumsum(sizes) - sizes)
        alike = common / (len(mine) + sizes - common) >= THRESHOLD
        return [place for place, near in zip(places, alike.tolist(), strict=True) if near]
