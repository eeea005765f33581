"""Files of what is known of texts: each written once, under a name of its own, and put in its place when it is whole.

A record is a digest (16 bytes), the CRC-32 of a body (4) and the body: for a text its hashes, 4 bytes each. Behind the
records comes a row for each that says where it is, and an end with the number and the CRC-32 of the rows. Places and
lengths count words of 4 bytes.
"""

import os
import shutil
import time
import uuid
import zlib
from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

BYTES_MAX = 16 * 2**30
"""Of a folder: some 14 million texts of 1.9 KB. Once it is full, nothing more is kept until files that have not been
used for `IDLE_S` make room: were the oldest to go at once, a long dataset would push out its own beginning."""
FREE_BYTES_MIN = 5 * 2**30
"""Nor is anything kept where the disk has no more room than this."""
IDLE_S = 7 * 86400.0
SEALED_BYTES = 32 * 2**20
"""A file is put in its place once it has grown to this: a killed process takes no more with it."""
FILE_BYTES_MAX = 256 * 2**20
"""Smaller files are taken into new ones up to this, so that there are few."""
DIGEST_BYTES = 16
HEAD_BYTES = DIGEST_BYTES + 4
_PART_S = 86400.0
"""An unfinished file that nobody has written to for so long is that of a killed process."""
_ROW = np.dtype([("key", "<u8"), ("start", "<u8"), ("words", "<u8")])
_END = np.dtype([("magic", "<u8"), ("rows", "<u8"), ("crc", "<u8")])
_MAGIC = 0x5E7C4E5
_COPY_BYTES = 2**20

Rows = npt.NDArray[Any]
"""`key`, the first 8 bytes of a digest; `start` and `words`, the place and the length of its record."""


class Opened(NamedTuple):
    """A finished file, and a row for each record."""

    path: Path
    fd: int
    rows: Rows


def opened(folder: Path, prefix: str) -> Iterator[Opened]:
    """Open all files of a name that are whole, the oldest first; remove others, and what a killed process left.

    Whoever takes one closes its `fd`.
    """
    for path in folder.glob("*.part"):
        if time.time() - _used_at(path) > _PART_S:
            _remove(path)
    for path in sorted(folder.glob(f"{prefix}-*.sets")):
        if file := _open(path):
            yield file


def keys_of(digests: bytes | bytearray) -> npt.NDArray[np.uint64]:
    """Return the first 8 bytes of each of many digests, one behind the other."""
    return np.frombuffer(bytes(digests), np.uint64)[::2]


class Writer:
    """Adds files to a folder; whatever goes wrong with that, a full disk say, ends it and harms nobody."""

    def __init__(self, folder: Path, prefix: str, bytes_max: int):
        self._folder, self._prefix, self._bytes_max = folder, prefix, bytes_max
        self._part: IO[bytes] | None = None
        self._digests, self._words = bytearray(), array("q")
        self._size = 0
        self._ended = False

    def add(self, digest: bytes, body: bytes) -> None:
        """Write a record; the body is a multiple of 4 bytes."""
        if self._ended:
            return
        try:
            if self._part is None:
                if not self._room():
                    self._ended = True
                    return
                # The time first: of two records of one text, the one in the later name counts.
                name = f"{self._prefix}-{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.part"
                self._part = (self._folder / name).open("xb")
            self._part.write(digest + zlib.crc32(body).to_bytes(4, "little") + body)
            self._digests += digest
            self._words.append((HEAD_BYTES + len(body)) // 4)
            self._size += HEAD_BYTES + len(body)
            if self._size >= SEALED_BYTES:
                self._seal()
        except OSError:
            self._ended = True
            self._drop()

    def close(self) -> None:
        """Put what is written in its place."""
        with suppress(OSError):
            self._seal()

    def _seal(self) -> None:
        """Finish the file, with shorter ones taken in; each byte is copied a handful of times."""
        if self._part is None:
            return
        try:
            rows = np.zeros(len(self._words), _ROW)
            rows["key"], rows["words"] = keys_of(self._digests), self._words
            rows["start"] = np.cumsum(rows["words"]) - rows["words"]
            shortest_first = sorted(self._folder.glob(f"{self._prefix}-*.sets"), key=_bytes)
            taken = {path: more for path in shortest_first if (more := self._take(path)) is not None}
            rows = np.concatenate([*(taken[path] for path in sorted(taken)), rows])
            end = np.array([(_MAGIC, len(rows), zlib.crc32(rows.tobytes()))], _END)
            self._part.write(rows.tobytes() + end.tobytes())
            self._part.close()
            # Not synced: what a power cut leaves of it fails its checks, and is computed again.
            Path(self._part.name).rename(Path(self._part.name).with_suffix(".sets"))
            for path in taken:
                _remove(path)
        finally:
            self._drop()

    def _take(self, path: Path) -> Rows | None:
        """Copy the records of a file that is not much longer than what is written, and return their rows."""
        if self._part is None or _bytes(path) > min(2 * self._size, FILE_BYTES_MAX - self._size):
            return None
        file = _open(path)
        if file is None:
            return None
        left = 4 * int(file.rows["words"].sum())
        with os.fdopen(file.fd, "rb") as source:
            while left and (data := source.read(min(left, _COPY_BYTES))):
                left -= self._part.write(data)
        rows = file.rows.copy()
        rows["start"] += np.uint64(self._size // 4)
        self._size += 4 * int(rows["words"].sum())
        return rows

    def _drop(self) -> None:
        """Begin anew; an unfinished file is removed."""
        if self._part is not None:
            with suppress(OSError):
                self._part.close()
            _remove(Path(self._part.name))
        self._part, self._digests, self._words, self._size = None, bytearray(), array("q"), 0

    def _room(self) -> bool:
        """Make room for one more file; return whether there is."""
        if shutil.disk_usage(self._folder).free < FREE_BYTES_MIN:
            return False
        files = sorted(self._folder.glob("*.sets"), key=_used_at)
        over = sum(map(_bytes, files)) + SEALED_BYTES - self._bytes_max
        for path in files:
            if over <= 0 or time.time() - _used_at(path) < IDLE_S:
                break
            over -= _bytes(path)
            _remove(path)
        return over <= 0


def _open(path: Path) -> Opened | None:
    """Open a file and check its rows; None for one that is damaged, which is removed, or gone by now."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    rows = _rows(fd)
    if rows is None:
        os.close(fd)
        _remove(path)
        return None
    return Opened(path, fd, rows)


def _rows(fd: int) -> Rows | None:
    size = os.fstat(fd).st_size - _END.itemsize
    if size < 0:
        return None
    end = np.frombuffer(os.pread(fd, _END.itemsize, size), _END)[0]
    start = size - int(end["rows"]) * _ROW.itemsize
    if end["magic"] != _MAGIC or start < 0:
        return None
    data = os.pread(fd, size - start, start)
    if zlib.crc32(data) != end["crc"]:
        return None
    rows = np.frombuffer(data, _ROW)
    return rows if 4 * int(rows["words"].sum()) == start else None


def _remove(path: Path) -> None:
    with suppress(OSError):  # gone by now, or not ours to remove
        path.unlink()


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # another process was faster to remove it
        return 0


def _used_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
