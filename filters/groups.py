"""Groups of texts that are nearly the same: what must not be torn apart into a train and a test split."""

from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from filters.bands import Bands, beside
from filters.set_file import SetFile
from filters.shingles import jaccard, normal, shingles

THRESHOLD, SHINGLE_WORDS, PERMUTATIONS = 0.8, 5, 128
"""Those of the filter `near_duplicate`, where they are explained."""


class Groups:
    """Texts added a few hundred at a time, joined where a chain of pairs connects them, each as alike as THRESHOLD.

    Candidates come from MinHash bands, as in `near_duplicate`, and the exact Jaccard similarity decides; a text that
    more than `bands.CANDIDATES_MAX` others share a band with is compared with the earliest of them. In memory a text
    takes some 200 bytes, in a temporary file 4 bytes a phrase.
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
        earlier, near = self._bands.sharing(keys), beside(keys)
        self._sets.add(sets.hashes, np.diff(sets.ends, prepend=0))
        self._bands.add(keys, begin)
        for number in sorted(earlier.keys() | near.keys()):
            places = [*earlier.get(number, ()), *(begin + other for other in sorted(near.get(number, ())))]
            self._join(begin + number, places)

    def first(self, number: int) -> int:
        """Return the first text of a text's group, itself if it is that."""
        above = self._above
        while above[number] != number:
            above[number] = above[above[number]]
            number = above[number]
        return number

    def _join(self, number: int, places: Sequence[int]) -> None:
        mine = self._sets.of(number)
        for place in places:
            one, other = self.first(number), self.first(place)
            if one == other:
                continue
            yours = self._sets.of(place)
            shorter, longer = sorted((len(mine), len(yours)))
            if shorter >= THRESHOLD * longer and jaccard(mine, yours) >= THRESHOLD:
                self._above[max(one, other)] = min(one, other)
