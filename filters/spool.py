"""A queue of any length in bounded memory: what does not fit waits in a temporary file."""

import pickle
import tempfile
from collections import deque
from typing import IO, Generic, TypeVar

T = TypeVar("T")

IN_MEMORY_MAX = 10_000
"""Rows kept in memory: some 30 MB of usual traces."""
_CHUNK = 500


class Spool(Generic[T]):
    """First in, first out. Holds what we pickled ourselves, in a file without a name."""

    def __init__(self, in_memory_max: int | None = None):
        self._head: deque[T] = deque()
        self._tail: deque[T] = deque()
        self._chunks: deque[int] = deque()
        self._file: IO[bytes] | None = None
        self._in_memory_max = IN_MEMORY_MAX if in_memory_max is None else in_memory_max

    def __bool__(self) -> bool:
        return bool(self._head or self._chunks or self._tail)

    def append(self, row: T) -> None:
        """Add a row at the end."""
        if not self._chunks and not self._tail and len(self._head) < self._in_memory_max:
            self._head.append(row)
            return
        self._tail.append(row)
        if len(self._tail) >= _CHUNK:
            self._write()

    def first(self) -> T:
        """Return the oldest row without taking it."""
        if not self._head:
            self._head = self._read() if self._chunks else self._take_tail()
        return self._head[0]

    def popleft(self) -> T:
        """Take the oldest row."""
        self.first()
        return self._head.popleft()

    def close(self) -> None:
        """Remove the file, if there is one."""
        if self._file is not None:
            self._file.close()

    def _take_tail(self) -> deque[T]:
        tail, self._tail = self._tail, deque()
        return tail

    def _write(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        elif not self._chunks:
            self._file.truncate(0)
        self._chunks.append(self._file.seek(0, 2))
        pickle.dump(self._take_tail(), self._file, pickle.HIGHEST_PROTOCOL)

    def _read(self) -> deque[T]:
        if self._file is None:
            raise ValueError("the spool is closed")
        self._file.seek(self._chunks.popleft())
        return pickle.load(self._file)  # noqa: S301 - written by this object, in a file no one else can open
