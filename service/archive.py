"""What a backup is written to and read from: a folder, or one `.tar.zst`, packed as it comes."""

import hashlib
import io
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import zstandard
from pydantic import BaseModel, NonNegativeInt

MANIFEST = "backup.json"
ENDING = ".tar.zst"
CHUNK = 2**20


class BackupFailed(Exception):
    """No backup was made, or nothing was restored; the message says why and what to do."""


class Part(BaseModel):
    """One file; `path` is relative to the backup."""

    path: str
    bytes: NonNegativeInt
    sha256: str


class Target(Protocol):
    """A backup that is being written."""

    def add(self, source: Path, path: str) -> Part:
        """Take a file in, under a name in the backup."""
        ...

    def text(self, path: str, content: str) -> None:
        """Take a text in."""
        ...


@contextmanager
def opened(path: Path) -> Iterator[Target]:
    """Yield a new backup at `path`; `NAME.tar.zst`, with `.partial` after it or not, is packed."""
    if not path.name.removesuffix(".partial").endswith(ENDING):
        path.mkdir()
        yield _Folder(path)
        return
    packer = zstandard.ZstdCompressor(level=6, threads=-1, write_checksum=True)
    with path.open("wb") as file, packer.stream_writer(file) as packed, tarfile.open(fileobj=packed, mode="w|") as tar:
        yield _Archive(tar)


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def add(self, source: Path, path: str) -> Part:
        place = self._root / path
        with source.open("rb") as file:
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("wb") as copy:
                digest, size = hashed(file, copy.write)
        return Part(path=path, bytes=size, sha256=digest)

    def text(self, path: str, content: str) -> None:
        (self._root / path).write_text(content)


class _Archive:
    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def add(self, source: Path, path: str) -> Part:
        with source.open("rb") as file:
            info = self._tar.gettarinfo(arcname=path, fileobj=file)
            counted = _Counted(file)
            self._tar.addfile(info, counted)  # pyright: ignore[reportArgumentType]
        return Part(path=path, bytes=info.size, sha256=counted.digest.hexdigest())

    def text(self, path: str, content: str) -> None:
        data = content.encode()
        info = tarfile.TarInfo(path)
        info.size, info.mtime = len(data), int(time.time())
        self._tar.addfile(info, io.BytesIO(data))


class _Counted:
    """A file that hashes what is read of it."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


def hashed(file: io.BufferedReader, write: Callable[[bytes], object] | None = None) -> tuple[str, int]:
    """Return the SHA-256 and the size of a file that is read to its end, each piece given to `write`."""
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
        if write:
            write(chunk)
    return digest.hexdigest(), size


def unpack(source: Path, staging: Path) -> None:
    """Lay a backup's files out in a new folder. Raises BackupFailed, or what is wrong with the archive."""
    if source.is_dir():
        shutil.copytree(source, staging)
        return
    if not source.name.endswith(ENDING):
        raise BackupFailed(f"{source} is no backup: expected a folder with {MANIFEST}, or a file that ends in {ENDING}")
    staging.mkdir()
    unpacker = zstandard.ZstdDecompressor()
    with (
        source.open("rb") as file,
        unpacker.stream_reader(file) as packed,
        tarfile.open(fileobj=packed, mode="r|") as tar,
    ):
        tar.extractall(staging, filter="data")


def discard(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
