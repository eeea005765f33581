"""A request's body on its way in: it goes to disk as it comes, so that its size costs no memory."""

import errno
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from service.errors import NoSpace
from service.formats.columns import Columns
from service.formats.detect import Format
from service.settings import Settings

UPLOADS = "uploads"
"""Folder of bodies on their way in, below the data folder."""
UPLOAD_MAX_S = 24 * 3600.0
"""Nothing is uploaded for so long, whatever its lock says: not every network file system knows locks."""
FRESH_S = 60.0
"""A younger file may be about to be locked."""


@dataclass(frozen=True, slots=True)
class Spooled:
    """A body on disk."""

    path: Path
    sha256: str
    form: Format = Format.JSONL
    columns: Columns | None = None
    """What its columns stand for; None where they are called like the fields."""


@contextmanager
def spool_file(settings: Settings) -> Iterator[Path]:
    """Yield the path of a new file in the data folder; it is gone afterwards."""
    folder = settings.data_dir / UPLOADS
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, suffix=".part")
    try:
        # Locked as long as this process lives, so that `sweep_uploads` can tell it from what a dead one left.
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield Path(name)
    finally:
        os.close(handle)
        with suppress(FileNotFoundError):
            os.unlink(name)


def sweep_uploads(settings: Settings) -> int:
    """Remove what broken-off uploads of dead processes left on the disk; return how many files."""
    gone = 0
    for path in (settings.data_dir / UPLOADS).glob("*.part"):
        with suppress(FileNotFoundError):
            age_s = time.time() - path.stat().st_mtime
            if age_s > UPLOAD_MAX_S or (age_s > FRESH_S and _is_left(path)):
                path.unlink()
                gone += 1
    return gone


def _is_left(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


async def spool(chunks: AsyncIterator[bytes], path: Path) -> str:
    """Write a body to `path` as it arrives, so that its size costs no memory; return its SHA-256."""
    digest = hashlib.sha256()
    try:
        with path.open("wb") as file:
            async for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise NoSpace("the disk of the data folder is full; nothing of the batch was kept") from error
    return digest.hexdigest()
