"""Sending an export folder in pieces: memory stays flat whatever its size."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

PIECE_BYTES = 2**20
FIXED_TIME = (1980, 1, 1, 0, 0, 0)
"""Every file in the archive carries the same time, so that the same version gives the same bytes."""


class _Pieces(io.RawIOBase):
    """What the archive writes, until it is sent; not seekable, so zipfile streams."""

    def __init__(self) -> None:
        self.held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.held += data
        return len(data)

    def take(self) -> bytes:
        held, self.held = bytes(self.held), bytearray()
        return held


def zipped(folder: Path) -> Iterator[bytes]:
    """Yield a zip of the folder. Parquet is compressed already, so files are only stored."""
    pieces = _Pieces()
    with zipfile.ZipFile(pieces, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not path.is_file():
                continue
            entry = zipfile.ZipInfo(f"{folder.parent.name}-{folder.name}/{path.relative_to(folder)}", FIXED_TIME)
            with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                while chunk := source.read(PIECE_BYTES):
                    target.write(chunk)
                    yield pieces.take()
    yield pieces.take()
