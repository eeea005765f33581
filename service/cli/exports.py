"""Bringing an export here: downloaded beside its place, unpacked safely, checked, and only then given its name."""

import hashlib
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from pydantic import ValidationError

from filters.manifest import Manifest, Part
from service.cli.batches import bytes_bar
from service.cli.terminal import FAILED, Refused, Terminal
from service.exports import FORMATS, PARQUET
from service.exports.form import ExportFormat, Reasoning, Wish

PIECE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Brought:
    """What lies in the folder."""

    manifest: Manifest
    rows: dict[str, int]
    """By split."""
    settings: str = ""
    """The file with which the format's reader is told of the others."""


def bring(
    terminal: Terminal, name: str, number: int, folder: Path, format: str, splits: Sequence[str] = (), **wish: Any
) -> Brought:
    """Make `folder` of a sealed version in some format; `wish` are the download's other fields.

    Without `splits` all that hold rows are brought. A failure leaves nothing.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} exists and is not empty; give another --out")
    given = {key: value for key, value in wish.items() if value}
    parent = folder.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=f".{folder.name}-") as temporary:
            partial = Path(temporary) / "export"
            if format == PARQUET:
                brought = _fetch_parquet(terminal, name, number, partial, **given)
            else:
                brought = _fetch_lines(terminal, name, number, partial, format, splits, **given)
            if folder.exists():
                folder.rmdir()
            os.replace(partial, folder)
    except OSError as error:
        raise Refused(f"cannot write {folder}: {error.strerror or error}", FAILED) from error
    return brought


def _fetch_parquet(terminal: Terminal, name: str, number: int, folder: Path, **wish: Any) -> Brought:
    archive = folder.with_suffix(".zip")
    with archive.open("wb") as file:
        _download(terminal, name, number, file, "download", format=PARQUET, **wish)
    unpack(archive, folder)
    archive.unlink()
    manifest = check_export(folder)
    return Brought(manifest, {split: sum(part.rows for part in parts) for split, parts in manifest.splits.items()})


def _fetch_lines(
    terminal: Terminal, name: str, number: int, folder: Path, format: str, splits: Sequence[str], **wish: Any
) -> Brought:
    """JSON lines are made on the way, so that the manifest has no hash of them: their rows are counted instead."""
    client, form = terminal.client, FORMATS[format]
    manifest = client.manifest(name, number)
    absent = [split for split in splits if split not in manifest.splits]
    if absent:
        raise Refused(f"{name}@{number} has no rows in its '{absent[0]}' split; it has {', '.join(manifest.splits)}")
    folder.mkdir()
    (folder / "README.md").write_text(client.card(name, number))
    rows: dict[str, int] = {}
    for split in splits or list(manifest.splits):
        path = folder / f"{split}.jsonl"
        with path.open("wb") as file:
            _download(terminal, name, number, file, f"download {split}", format=format, split=split, **wish)
        with path.open("rb") as file:
            rows[split] = sum(1 for _ in file)
        expected = sum(part.rows for part in manifest.splits[split])  # pyright: ignore[reportArgumentType]
        if form.one_each and rows[split] != expected:
            raise Refused(f"{path.name} has {rows[split]:,} rows, the manifest says {expected:,}; try again", FAILED)
    return Brought(manifest, rows, _write_settings(form, f"{name}-v{number}", folder, rows, wish))


def _write_settings(form: ExportFormat, label: str, folder: Path, rows: Iterable[str], wish: dict[str, Any]) -> str:
    if form.settings is None:
        return ""
    given: dict[str, Any] = {"reasoning": Reasoning(wish["reasoning"])} if wish.get("reasoning") else {}
    given |= {"reasoning_key": wish["reasoning_key"]} if wish.get("reasoning_key") else {}
    files = {split: f"{split}.jsonl" for split in rows}
    filename, text = form.settings(label, files, form.settled(Wish(**given)))
    (folder / filename).write_text(text)
    return filename


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
