"""Two dataset versions beside each other: what came in, what went, and why."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from service import diff
from service.api.deps import After, DatabaseDep, Limit
from service.api.shapes.diffs import DiffOut, DiffRow, With
from service.changes import Change
from service.store import diff as store

router = APIRouter(prefix="/api/datasets/{name}/versions/{number}/diff", tags=["datasets"])


@router.get("")
def counted(name: str, number: int, database: DatabaseDep, other: With = None) -> DiffOut:
    """Count what changed since another sealed version, by reason, and tell which filters and batches are others."""
    with database.read() as session:
        before, now = diff.pair(session, name, number, other)
    return diff.diff(database, before, now)


@router.get("/rows")
def rows(
    name: str,
    number: int,
    database: DatabaseDep,
    limit: Limit,
    change: Change,
    other: With = None,
    after: After = 0,
    filter_kind: Annotated[str | None, Query(alias="filter")] = None,
    reason: str | None = None,
) -> dict[str, Any]:
    """List the traces that changed so, with the verdict of the version that does not keep them, by trace id."""
    wanted = {"filter": filter_kind, "reason": reason}
    with database.read() as session:
        before, now = diff.pair(session, name, number, other)
        found = store.page(session, before.id or 0, now.id or 0, change, wanted, after=after, limit=limit)
    data = [DiffRow(**row) for row in found]
    return {"data": data, "next": data[-1].trace if len(data) == limit else None}
