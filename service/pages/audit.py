"""The audit: who did what, when, and from where. For admins."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Response

from service.access import Admin
from service.acts import Act
from service.api.deps import After, DatabaseDep
from service.pages.rendering import page
from service.store import audit
from service.store.audit import AuditFilter

router = APIRouter(prefix="/audit", include_in_schema=False)

PAGE_ROWS = 50
Word = Annotated[str, Query(max_length=256)]
ADDRESSES = {"batch": "/batches/", "run": "/runs/", "trace": "/traces/", "teacher": "/teachers#"}
"""Where the page of a subject is, by the first word of the act."""


@router.get("")
def listed(
    database: DatabaseDep, _: Admin, act: Act | str = "", who: Word = "", subject: Word = "", after: After = 0
) -> Response:
    """List what was done, the newest first."""
    wanted = AuditFilter(Act(act) if act in set(Act) else None, who.strip() or None, subject.strip() or None)
    with database.read() as session:
        rows = audit.page(session, wanted, after=after, limit=PAGE_ROWS)
    following = rows[-1].id if len(rows) == PAGE_ROWS else None
    shown = [(row, _address_of(row.act, row.subject)) for row in rows]
    return page("audit.html", rows=shown, acts=list(Act), wanted=asdict(wanted), after=after, following=following)


def _address_of(act: Act, subject: str) -> str:
    """Return where the page of what it was done to is; empty where there is none, or none any more."""
    thing, _, what = act.partition(".")
    if what == "deleted":
        return ""
    name, at, number = subject.partition("@")
    if at and number.isdecimal():
        return f"/datasets/{name}/{number}"
    return f"{ADDRESSES[thing]}{subject}" if thing in ADDRESSES else ""
