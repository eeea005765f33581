"""Two versions of a dataset beside each other: what came in, what went, why, and which knob did it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from service import diff
from service.api.deps import After, DatabaseDep
from service.api.shapes.diffs import DiffOut, DiffRow
from service.changes import Change
from service.models import VersionState
from service.pages.rendering import page
from service.store import datasets
from service.store import diff as store

router = APIRouter(prefix="/datasets", include_in_schema=False)

PAGE_ROWS = 50
Word = Annotated[str, Query(max_length=200)]


@router.get("/{name}/diff")
def between(
    name: str,
    database: DatabaseDep,
    before: Annotated[str, Query(alias="from", max_length=200)] = "",
    to: Annotated[int, Query(ge=0)] = 0,
    change: Change | str = "",
    filter_: Annotated[str | None, Query(alias="filter", max_length=200)] = None,
    reason: Annotated[str | None, Query(max_length=200)] = None,
    after: After = 0,
) -> Response:
    """Compare version `to` with `from`, a number or NAME@N; left out, they are the newest two sealed ones."""
    with database.read() as session:
        sealed = [each for each in datasets.versions(session, name) if each.state == VersionState.SEALED]
        if not sealed or (to == 0 and len(sealed) < 2 and not before):
            return page("version_diff.html", name=name, sealed=sealed, found=None)
        one, other = diff.pair(session, name, to or sealed[0].number, before or None)
    found = diff.diff(database, one, other)
    chosen = Change(change) if change in set(Change) else None
    wanted = {"filter": filter_, "reason": reason}
    rows = []
    if chosen and _are_there(found, chosen, wanted):
        with database.read() as session:
            listed = store.page(session, one.id or 0, other.id or 0, chosen, wanted, after=after, limit=PAGE_ROWS)
        rows = [DiffRow(**row) for row in listed]
    asked: dict[str, Any] = {
        "from": _short(found.before, name),
        "to": other.number,
        "change": chosen,
        "filter": filter_,
        "reason": reason,
    }
    following = rows[-1].trace if len(rows) == PAGE_ROWS else None
    shown = {"rows": rows, "after": after, "following": following}
    return page("version_diff.html", name=name, sealed=sealed, found=found, asked=asked, **shown)


def _are_there(found: DiffOut, change: Change, wanted: dict[str, str | None]) -> bool:
    """Whether any row changed so: to find none takes the database as long as to read both versions."""
    lines = (line.model_dump() for line in found.why if line.change == change)
    return any(all(value is None or line[name] == value for name, value in wanted.items()) for line in lines)


def _short(label: str, name: str) -> str:
    """Return the number alone of a version of this very dataset."""
    dataset, _, number = label.partition("@")
    return number if dataset == name else label
