"""Batches: all of them, and one with its progress, failures and waits."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import RedirectResponse

from service.access import CallerDep, may
from service.api.deps import DatabaseDep
from service.caller import Caller
from service.cancelling import cancel_batch
from service.models.batches import ENDED
from service.pages.advice import advice
from service.pages.rendering import HEADERS, page
from service.scopes import Scope
from service.store import batches, facets, overview
from service.store.database import Database
from service.views import batch_out

router = APIRouter(prefix="/batches", include_in_schema=False)

PAGE_ROWS = 25
VERSIONS_LOOKED_AT = 200
"""Newest versions among which those made from a batch are looked for."""


@router.get("")
def listed(database: DatabaseDep, after: Annotated[str, Query(max_length=64)] = "") -> Response:
    """List batches, newest first."""
    with database.read() as session:
        found = batches.page(session, after=after or None, limit=PAGE_ROWS)
        shown = [batch_out(session, batch) for batch in found]
    following = shown[-1].id if len(shown) == PAGE_ROWS else None
    return page("batches.html", batches=shown, after=after, following=following)


@router.get("/{batch_id}")
def one(batch_id: str, database: DatabaseDep, caller: CallerDep) -> Response:
    """Show one batch."""
    with database.read() as session:
        versions = [
            version for version in facets.versions(session, limit=VERSIONS_LOOKED_AT) if batch_id in version.batches
        ]
    return page("batch.html", **_values(database, batch_id, caller), versions=versions)


@router.get("/{batch_id}/live")
def live(batch_id: str, database: DatabaseDep, caller: CallerDep) -> Response:
    """Show the part of a batch's page that moves."""
    return page("batch_live.html", **_values(database, batch_id, caller))


@router.post("/{batch_id}/{act}")
def change(batch_id: str, act: Literal["cancel", "retry"], database: DatabaseDep, caller: CallerDep) -> Response:
    """Stop asking, or ask again for what failed; then show the batch."""
    with database.write() as session:
        if act == "cancel":
            cancel_batch(session, caller, batch_id)
        else:
            batches.retry(session, batch_id)
    return RedirectResponse(f"/batches/{batch_id}", 303, HEADERS)


def _values(database: Database, batch_id: str, caller: Caller) -> dict[str, Any]:
    with database.read() as session:
        batch = batch_out(session, batches.get(session, batch_id))
        failures = overview.failures(session, batch_id) if batch.counts.failed else []
        waits = overview.waits(session, subject=batch_id) if batch.counts.pending else []
    return {
        "batch": batch,
        "ended": batch.state in ENDED,
        "failures": failures,
        "waits": waits,
        "advice": advice,
        "submits": may(caller, Scope.SUBMIT),
    }
