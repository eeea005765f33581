"""Bringing an export here: downloaded beside its place, unpacked safely, checked, and only then given its name."""

import hashlib
import os
import shutil
import stat
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from pydantic import ValidationError

from filters.manifest import Manifest, Part
from service.cli.batches import bytes_bar
from service.cli.terminal import FAILED, Refused, Terminal

PIECE_BYTES = 2**20


def bring(terminal: Terminal, name: str, number: int, folder: Path, format: str) -> Manifest:
    """Make `folder` of a sealed version, `parquet` or `jsonl`, and return its manifest; a failure leaves nothing."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} exists and is not empty; give another --out")
    fetch = _fetch_parquet if format == "parquet" else _fetch_jsonl
    parent = folder.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=f".{folder.name}-") as temporary:
            partial = Path(temporary) / "export"
            manifest = fetch(terminal, name, number, partial)
            if folder.exists():
                folder.rmdir()
            os.replace(partial, folder)
    except OSError as error:
        raise Refused(f"cannot write {folder}: {error.strerror or error}", FAILED) from error
    return manifest


def _fetch_parquet(terminal: Terminal, name: str, number: int, folder: Path) -> Manifest:
    archive = folder.with_suffix(".zip")
    with archive.open("wb") as file:
        _download(terminal, name, number, file, "download", format="parquet")
    unpack(archive, folder)
    archive.unlink()
    return check_export(folder)


def _fetch_jsonl(terminal: Terminal, name: str, number: int, folder: Path) -> Manifest:
    """JSON lines are made on the way, so that the manifest has no hash of them: their rows are counted instead."""
    client = terminal.client
    manifest = client.manifest(name, number)
    folder.mkdir()
    (folder / "README.md").write_text(client.card(name, number))
    for split, parts in manifest.splits.items():
        path = folder / f"{split}.jsonl"
        with path.open("wb") as file:
            _download(terminal, name, number, file, f"download {split}", format="jsonl", split=split)
        with path.open("rb") as file:
            found, expected = sum(1 for _ in file), sum(part.rows for part in parts)
        if found != expected:
            raise Refused(f"{split}.jsonl has {found:,} rows, the manifest says {expected:,}; try again", FAILED)
    return manifest


def _download(terminal: Terminal, name: str, number: int, file: BinaryIO, title: str, **query: Any) -> None:
    with bytes_bar(terminal, title, None) as progress:
        terminal.client.download(name, number, file, progress=progress, **query)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip of one top folder into `folder`, which must not exist; entries that lead elsewhere are refused."""
    try:
        with zipfile.ZipFile(archive) as packed:
            targets = [(entry, _target(entry)) for entry in packed.infolist() if not entry.is_dir()]
            for entry, target in targets:
                path = folder / target
                path.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(entry) as source, path.open("xb") as file:
                    shutil.copyfileobj(source, file, PIECE_BYTES)
    except (zipfile.BadZipFile, EOFError, FileExistsError) as error:
        raise Refused(f"the download is damaged ({error}); try again", FAILED) from error


def _target(entry: zipfile.ZipInfo) -> PurePosixPath:
    """Return where an entry belongs, below the archive's top folder."""
    path = PurePosixPath(entry.filename)
    outside = path.is_absolute() or ".." in path.parts or "\\" in entry.filename or ":" in entry.filename
    if outside or len(path.parts) < 2 or stat.S_ISLNK(entry.external_attr >> 16):
        raise Refused(f"the download holds an unsafe path, '{entry.filename}'; nothing was unpacked", FAILED)
    return PurePosixPath(*path.parts[1:])


def check_export(folder: Path) -> Manifest:
    """Compare every file of an export with its manifest and return that; Refused names the first that differs."""
    try:
        manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise Refused(f"the export has no readable manifest.json: {error}", FAILED) from error
    for part in [*(part for parts in manifest.splits.values() for part in parts), manifest.rejected]:
        _check_part(folder, part)
    return manifest


def _check_part(folder: Path, part: Part) -> None:
    try:
        with (folder / part.path).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Refused(f"the export lacks {part.path}, which its manifest names", FAILED) from error
    if found != part.sha256:
        raise Refused(f"{part.path} is not what was sealed: sha256 {found}, the manifest says {part.sha256}", FAILED)
