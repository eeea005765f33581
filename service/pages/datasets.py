"""Datasets: all of them, one version with its funnel and licence, and its ledger."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from service.api.deps import After, DatabaseDep, SettingsDep
from service.models import VersionState
from service.pages.attention import BLOCKED
from service.pages.contents import contents
from service.pages.rendering import page
from service.settings import Settings
from service.store import datasets, runs
from service.store.database import Database
from service.views import ledger_row, version_out

router = APIRouter(prefix="/datasets", include_in_schema=False)

LEDGER_ROWS = 50
CARD_CHARS_MAX = 100_000
RUNS_LOOKED_AT = 200
"""Newest runs among which those trained on a version are looked for."""
Word = Annotated[str, Query(max_length=200)]


@router.get("")
def listed(database: DatabaseDep) -> Response:
    """List all datasets with their versions."""
    with database.read() as session:
        names = [dataset.name for dataset in datasets.every(session)]
        found = [(name, [version_out(session, each) for each in datasets.versions(session, name)]) for name in names]
    return page("datasets.html", datasets=found)


@router.get("/{name}")
def one(name: str, database: DatabaseDep) -> Response:
    """List the versions of one dataset."""
    with database.read() as session:
        found = [(name, [version_out(session, each) for each in datasets.versions(session, name)])]
    return page("datasets.html", datasets=found)


@router.get("/{name}/{number}")
def version(name: str, number: int, database: DatabaseDep, settings: SettingsDep) -> Response:
    """Show one version."""
    values = _values(database, name, number)
    with database.read() as session:
        students = [
            run for run in runs.every(session, limit=RUNS_LOOKED_AT) if (run.dataset, run.version) == (name, number)
        ]
    found, sealed = values["version"], values["sealed"] and values["version"].path
    card = _card(settings, found.path) if sealed else None
    rows = contents(settings.data_dir / found.path, found.sha256) if sealed else None
    return page("version.html", **values, students=students, card=card, rows=rows)


@router.get("/{name}/{number}/live")
def live(name: str, number: int, database: DatabaseDep) -> Response:
    """Show the part of a version's page that moves."""
    return page("version_live.html", **_values(database, name, number))


def _values(database: Database, name: str, number: int) -> dict[str, Any]:
    with database.read() as session:
        found = version_out(session, datasets.version(session, name, number))
    decision = found.licence.decision if found.licence else "unknown"
    return {
        "version": found,
        "sealed": found.state == VersionState.SEALED,
        "decision": decision,
        "blocked": decision in BLOCKED,
    }


def _card(settings: Settings, path: str) -> str | None:
    """Return the beginning of the dataset card; None where the folder is not on this machine."""
    file: Path = settings.data_dir / path / "README.md"
    if not path or not file.is_file():
        return None
    with file.open(encoding="utf-8", errors="replace") as text:
        return text.read(CARD_CHARS_MAX)


@router.get("/{name}/{number}/ledger")
def ledger(
    name: str,
    number: int,
    database: DatabaseDep,
    after: After = 0,
    outcome: Word = "",
    filter_: Annotated[str, Query(alias="filter", max_length=200)] = "",
    reason: Word = "",
) -> Response:
    """List what became of each trace, and why."""
    wanted = {"outcome": outcome or None, "filter": filter_ or None, "reason": reason or None}
    with database.read() as session:
        found = datasets.version(session, name, number)
        rows = [
            ledger_row(*row) for row in datasets.ledger(session, found.id or 0, wanted, after=after, limit=LEDGER_ROWS)
        ]
    following = rows[-1].trace if len(rows) == LEDGER_ROWS else None
    return page("ledger.html", version=found, rows=rows, wanted=wanted, after=after, following=following)
