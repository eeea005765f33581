"""Sets of hashes in a temporary file: 4 bytes a hash on disk, 8 bytes a set in memory."""

import os
import tempfile
from array import array
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from filters.shingles import Hashes


class SetFile:
    """Sets that are added at the end and read by their place. `close` gives the file back."""

    def __init__(self, folder: Path | None = None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - see close()
        self._ends = array("q", [0])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def add(self, hashes: Hashes, sizes: Iterable[int]) -> None:
        """Add sets that stand one after the other in `hashes`."""
        self._file.write(hashes.data)
        self._file.flush()
        self._ends.frombytes((self._ends[-1] + np.cumsum(np.fromiter(sizes, np.int64))).tobytes())

    def of(self, place: int) -> Hashes:
        """Return one set."""
        start, end = self._ends[place], self._ends[place + 1]
        return np.frombuffer(os.pread(self._file.fileno(), 4 * (end - start), 4 * start), dtype=np.uint32)

    def close(self) -> None:
        """Give the temporary file back."""
        self._file.close()
