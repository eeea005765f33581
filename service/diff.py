"""What two dataset versions differ in: rows by the ledgers, and the orders that explain them."""

from collections import Counter
from typing import Any

from sqlmodel import Session

from service.api.shapes.diffs import DiffLine, DiffOut, KnobChange
from service.changes import Change
from service.errors import Conflict, NotFound
from service.models import DatasetVersion, VersionState
from service.store import datasets
from service.store import diff as store
from service.store.database import Database


def pair(session: Session, name: str, number: int, other: str | None) -> tuple[DatasetVersion, DatasetVersion]:
    """Return version `other` and version `number`; Conflict where one of them is not sealed.

    `other` is a number of the same dataset or `NAME@N`; None means the newest sealed one with a smaller number.
    """
    now = _sealed(datasets.version(session, name, number))
    if other is None:
        before = datasets.sealed_before(session, name, number)
        if before is None:
            raise NotFound(f"{name}@{number} has no sealed version before it; name another with `with`")
        return before, now
    return _sealed(datasets.named(session, f"{name}@{other}" if other.isdecimal() else other)), now


def diff(database: Database, before: DatasetVersion, now: DatasetVersion) -> DiffOut:
    """Return what changed from one sealed version to another, counted by reason."""
    unchanged, lines = _counted(database, before.id or 0, now.id or 0)
    totals = Counter[Change]()
    for line, rows in lines:
        totals[line.change] += rows
    return DiffOut(
        before=_label(before),
        now=_label(now),
        kept_before=before.kept,
        kept_now=now.kept,
        unchanged=unchanged,
        added=totals[Change.ADDED],
        removed=totals[Change.REMOVED],
        moved=totals[Change.MOVED],
        why=[DiffLine(**line._asdict(), rows=rows) for line, rows in lines],
        recipe=_knobs(before.recipe["filters"], now.recipe["filters"]),
        batches_added=[batch for batch in now.batches if batch not in before.batches],
        batches_removed=[batch for batch in before.batches if batch not in now.batches],
        same_rows=before.sha256 == now.sha256,
    )


def _counted(database: Database, before: int, now: int) -> store.Counted:
    """Return the counts of a pair. Sealing counts a version against the one before it; others wait the first time."""
    with database.read() as session:
        counted = store.known(session, before, now)
        if counted is not None:
            return counted
        counted = store.counts(session, before, now)
    with database.write() as session:
        store.keep(session, before, now, counted)
    return counted


def _knobs(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[KnobChange]:
    """Return the filters that differ, each beside its namesake, the second `select` beside the second."""
    one, other = _numbered(before), _numbered(now)
    return [
        KnobChange(filter=key[0], before=one.get(key), now=other.get(key))
        for key in one | other
        if one.get(key) != other.get(key)
    ]


def _numbered(filters: list[dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    seen = Counter[str]()
    found = {}
    for filter_ in filters:
        kind = filter_["kind"]
        found[kind, seen[kind]] = {name: value for name, value in filter_.items() if name != "kind"}
        seen[kind] += 1
    return found


def _sealed(version: DatasetVersion) -> DatasetVersion:
    if version.state != VersionState.SEALED:
        raise Conflict(f"{_label(version)} is {version.state}; sealed versions are compared")
    return version


def _label(version: DatasetVersion) -> str:
    return f"{version.dataset}@{version.number}"
