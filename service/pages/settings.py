"""Settings: what is set and why, what this Retort stands on, and, for admins, who has a key."""

import os
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, Response
from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from filters.sandbox.cell import SandboxUnavailable
from filters.sandbox.ready import ready
from service.access import CallerDep, may
from service.api.deps import DatabaseDep, SettingsDep
from service.pages.rendering import page
from service.pages.words import size
from service.scopes import Scope
from service.settings import Settings
from service.store import keys, overview
from service.store.database import Database

router = APIRouter(prefix="/settings", include_in_schema=False)

FILES_MAX = 20_000
"""Files of the data folder that are looked at: a page must not wait for a million of them."""
SEEN_S = 24 * 3600.0
"""A worker that took no job for so long is not shown."""


class Setting(NamedTuple):
    """One setting: its variable, its value as it may be shown, where that comes from, and what it is for."""

    variable: str
    value: str
    source: str
    is_default: bool
    reason: str


class Folder(NamedTuple):
    """What the data folder takes; `whole` is False where it holds more files than were looked at."""

    path: str
    bytes: int
    files: int
    whole: bool
    free: int


@router.get("")
def shown(database: DatabaseDep, settings: SettingsDep, caller: CallerDep) -> Response:
    """Show the settings and the state of this Retort."""
    admin = may(caller, Scope.ADMIN)
    with database.read() as session:
        workers = overview.workers(session, within_s=SEEN_S)
        held = keys.every(session) if admin and settings.api_key else []
    return page(
        "settings.html",
        settings=[_setting(settings, database, name, field) for name, field in Settings.model_fields.items()],
        version=version("retort"),
        database=database.shown_url,
        embedded=database.embedded,
        folder=_folder(settings.data_dir),
        sandbox=_sandbox(),
        workers=workers,
        keys=held,
        admin=admin,
        locked=settings.api_key is not None,
    )


def _setting(settings: Settings, database: Database, name: str, field: FieldInfo) -> Setting:
    variables = _variables(name, field)
    given = next((variable for variable in variables if variable in os.environ), None)
    value = getattr(settings, name)
    is_default = value == field.default
    source = "default" if is_default else "environment" if given else "given at start"
    if isinstance(value, SecretStr):
        value = "set, not shown"
    elif name == "database_url" and value:
        value = database.shown_url  # without its password
    elif name.endswith("_bytes_max"):
        value = size(value)
    shown_value = "none" if value in (None, "") else str(value)
    return Setting(given or variables[0], shown_value, source, is_default, field.description or "")


def _variables(name: str, field: FieldInfo) -> list[str]:
    """Return the environment variables that a setting is read from."""
    if isinstance(field.validation_alias, AliasChoices):
        return [str(choice) for choice in field.validation_alias.choices]
    return [f"RETORT_{name.upper()}"]


def _folder(path: Path) -> Folder:
    total = count = 0
    whole = True
    for entry in _files(path):
        if count == FILES_MAX:
            whole = False
            break
        count += 1
        try:
            total += entry.stat(follow_symlinks=False).st_size
        except OSError:  # gone in the meantime
            continue
    free = shutil.disk_usage(path).free if path.is_dir() else 0
    return Folder(str(path.resolve()), total, count, whole, free)


def _files(path: Path) -> Iterator[os.DirEntry[str]]:
    try:
        entries = list(os.scandir(path))
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        else:
            yield entry


def _sandbox() -> tuple[bool, str]:
    """Return whether programs in responses may be run on this machine, and how or why not."""
    try:
        python, _ = ready()
    except SandboxUnavailable as error:
        return False, str(error)
    return True, f"bubblewrap passes its self-test; programs run with {python}"
