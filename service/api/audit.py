"""The audit: who did what, when, and from where. It can be read, and nothing else; an admin alone may."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from service.access import Admin
from service.api.deps import After, DatabaseDep, Limit
from service.api.shapes.audit import AuditOut
from service.store import audit
from service.store.audit import AuditFilter

router = APIRouter(prefix="/api/audit", tags=["audit"])


@router.get("")
def list_acts(
    database: DatabaseDep, wanted: Annotated[AuditFilter, Depends()], limit: Limit, _: Admin, after: After = 0
) -> dict[str, Any]:
    """List acts, the newest first; `next` is the `after` of the next page."""
    with database.read() as session:
        data = [AuditOut.model_validate(row) for row in audit.page(session, wanted, after=after, limit=limit)]
    return {"data": data, "next": data[-1].id if len(data) == limit else None}
