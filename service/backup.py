"""Backups: the database and the data folder in one folder or `.tar.zst`, with a manifest of hashes, and back again.

The database comes first. Whatever its rows speak of was in place before they were committed, so copying the files
afterwards finds all of it, while the service goes on.
"""

import os
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import zstandard
from pydantic import BaseModel, ValidationError

from service.archive import MANIFEST, BackupFailed, Part, discard, hashed, opened, unpack
from service.settings import Settings
from service.store import snapshot
from service.store.database import Database
from service.store.migrate import knows
from service.store.snapshot import Facts, SnapshotFailed

LEFT_OUT = {"uploads", "sketches", ".retort.lock", ".restoring", "lost+found"}
"""Of the data folder: half-sent bodies, an index that builds itself anew, locks."""
DATABASE_FILE = "retort.db"
TRIES = 3
"""Somebody may delete a version between the copy of the database and that of its folder: then all begins anew."""
Progress = Callable[[int], None]
"""Called with the bytes copied or checked so far."""


class Manifest(BaseModel):
    """`backup.json`."""

    format: Literal[1] = 1
    retort: str
    """The version that made it."""
    created_at: float
    """Unix seconds."""
    database: Literal["sqlite", "postgresql"]
    revision: str
    """Of its tables: this Retort or a later one can read it."""
    counts: dict[str, int]
    missing: list[str]
    """What the database speaks of and was not in the data folder."""
    left_out: list[str]
    """Folders of trainings and renderings that were under way: they begin anew."""
    files: list[Part]

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(part.bytes for part in self.files)


def make(database: Database, settings: Settings, target: Path, progress: Progress) -> Manifest:
    """Back up to `target`, a new folder or a new file that ends in `.tar.zst`. Raises BackupFailed."""
    target = target.absolute()
    if target.exists():
        raise BackupFailed(f"{target} is there already; give another name, so that no backup is overwritten")
    if target.is_relative_to(settings.data_dir.absolute()):
        raise BackupFailed(f"{target} lies in the data folder, where it would become part of the next backup")
    partial = target.with_name(f"{target.name}.partial")
    discard(partial)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        manifest, tries = _write(database, settings, partial, progress), 1
        while manifest.missing and tries < TRIES:
            discard(partial)
            manifest, tries = _write(database, settings, partial, progress), tries + 1
        os.rename(partial, target)
    except (OSError, SnapshotFailed) as error:
        raise BackupFailed(f"no backup was made: {error}") from error
    finally:
        discard(partial)
    return manifest


def restore(settings: Settings, source: Path, progress: Progress) -> Manifest:
    """Put a backup into an empty data folder and database, after every hash was checked. Raises BackupFailed."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    if there := sorted(path.name for path in settings.data_dir.iterdir() if path.name not in LEFT_OUT):
        raise BackupFailed(
            f"{settings.data_dir} is not empty ({', '.join(there[:5])}): a backup goes into an empty place only. "
            "Give another --data-dir, or move away what is there"
        )
    staging = settings.data_dir / ".restoring"
    discard(staging)
    try:
        unpack(source, staging)
        manifest = _checked(staging, progress)
        _put_back(settings, staging, manifest)
    except (OSError, SnapshotFailed, tarfile.TarError, zstandard.ZstdError, EOFError) as error:
        raise BackupFailed(f"{source} was not restored: {error}") from error
    finally:
        discard(staging)
    return manifest


def _write(database: Database, settings: Settings, partial: Path, progress: Progress) -> Manifest:
    kind = "sqlite" if database.embedded else "postgresql"
    dump = partial.with_name(f"{partial.name}.{kind}")
    discard(dump)
    done = 0
    try:
        facts = snapshot.take(database, dump)
        with opened(partial) as target:
            parts, gone = list[Part](), list[str]()
            for source, path in _sources(dump, kind, settings.data_dir, facts):
                try:
                    parts.append(target.add(source, path))
                except FileNotFoundError:
                    gone.append(path.removeprefix("data/"))
                    continue
                done += parts[-1].bytes
                progress(done)
            manifest = Manifest(
                retort=version("retort"),
                created_at=time.time(),
                database=kind,
                revision=facts.revision,
                counts=facts.counts,
                missing=sorted(_missing(settings.data_dir, facts, gone)),
                left_out=sorted(facts.in_work),
                files=parts,
            )
            target.text(MANIFEST, manifest.model_dump_json(indent=1))
    finally:
        discard(dump)
    return manifest


def _sources(dump: Path, kind: str, data_dir: Path, facts: Facts) -> Iterator[tuple[Path, str]]:
    """Yield each file with its name in the backup."""
    yield dump, f"database/{kind}"
    for folder, folders, files in os.walk(data_dir):
        here = Path(folder).relative_to(data_dir)
        folders[:] = sorted(name for name in folders if _belongs(here / name, facts))
        for name in sorted(files):
            path = Path(folder, name)
            if _belongs(here / name, facts) and path.is_file() and not path.is_symlink():
                yield path, f"data/{here / name}"


def _belongs(path: Path, facts: Facts) -> bool:
    if str(path) in facts.in_work or path.name.endswith(".partial"):
        return False
    return not (path.parts[0] in LEFT_OUT or path.parts[0].startswith(DATABASE_FILE))


def _missing(data_dir: Path, facts: Facts, gone: list[str]) -> set[str]:
    """Return what the snapshot speaks of and is not there any more, as a whole or in part."""
    return {
        path
        for path in facts.needed
        if not (data_dir / path).exists() or any(f"{each}/".startswith(f"{path}/") for each in gone)
    }


def _checked(staging: Path, progress: Progress) -> Manifest:
    """Read the manifest and compare every file with it."""
    try:
        manifest = Manifest.model_validate_json((staging / MANIFEST).read_bytes())
    except FileNotFoundError as error:
        raise BackupFailed(f"it holds no {MANIFEST}: it is no backup, or the end of it is missing") from error
    except ValidationError as error:
        raise BackupFailed(f"its {MANIFEST} cannot be read: {error.errors()[0]['msg']}") from error
    if not knows(manifest.revision):
        raise BackupFailed(
            f"the backup is of Retort {manifest.retort} with tables of revision {manifest.revision}, which this one "
            f"({version('retort')}) does not know: restore it with that version or a later one"
        )
    done = 0
    for part in manifest.files:
        path = staging / part.path
        if not path.is_file() or not path.resolve().is_relative_to(staging.resolve()):
            raise BackupFailed(f"the backup is damaged: {part.path} is missing")
        with path.open("rb") as file:
            digest, size = hashed(file)
        if (digest, size) != (part.sha256, part.bytes):
            raise BackupFailed(f"the backup is damaged: {part.path} is not what was backed up (its SHA-256 differs)")
        done += size
        progress(done)
    return manifest


def _put_back(settings: Settings, staging: Path, manifest: Manifest) -> None:
    dump = staging / "database" / manifest.database
    if manifest.database == "sqlite":
        if settings.database_url:
            raise BackupFailed("the backup holds an embedded database, but RETORT_DATABASE_URL names another: unset it")
        snapshot.check_file(dump)
    else:
        _fill(settings, dump)
    for path in sorted((staging / "data").iterdir()) if (staging / "data").is_dir() else ():
        os.rename(path, settings.data_dir / path.name)
    if manifest.database == "sqlite":
        os.rename(dump, settings.data_dir / DATABASE_FILE)  # the last: with it, the folder is a Retort's


def _fill(settings: Settings, dump: Path) -> None:
    if not settings.database_url:
        raise BackupFailed("the backup holds a Postgres database: set RETORT_DATABASE_URL to an empty one")
    with closing(Database(settings.url())) as database:
        if not snapshot.is_empty(database):
            raise BackupFailed(f"{database.shown_url} is not empty: a backup goes into an empty database only")
        snapshot.put_back(database, dump)
