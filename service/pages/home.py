"""The front page: what is running, what needs attention, what is new."""

import time
from typing import Any

from fastapi import APIRouter, Response

from service.api.deps import DatabaseDep
from service.models import RunState, VersionState
from service.pages import attention
from service.pages.rendering import page
from service.pages.runs import how_far
from service.store import batches, facets, overview, runs, stats, teachers
from service.store.database import Database
from service.views import batch_out, version_out

router = APIRouter(include_in_schema=False)

SHOWN_MAX = 5
"""Newest datasets and runs; their own pages list them all."""
LOOKED_AT = 20
"""Newest batches, versions and runs among which the running and the failed ones are looked for."""
RUNNING = (RunState.VALIDATING, RunState.QUEUED, RunState.RUNNING)


@router.get("/")
def home(database: DatabaseDep) -> Response:
    """Show the front page."""
    return page("home.html", **_values(database))


@router.get("/live")
def live(database: DatabaseDep) -> Response:
    """Show the part of the front page that moves."""
    return page("home_live.html", **_values(database))


def _values(database: Database) -> dict[str, Any]:
    with database.read() as session:
        versions = facets.versions(session, limit=LOOKED_AT)
        ordered = runs.every(session, limit=LOOKED_AT)
        curating = [version_out(session, found) for found in versions if found.state == VersionState.CURATING]
        answers = stats.answers_by_teacher(session).values()
        newest = batches.page(session, after=None, limit=LOOKED_AT)
        notices = attention.notices(
            overview.waits(session),
            overview.unattended(session, after_s=attention.UNATTENDED_AFTER_S),
            [batch_out(session, batch) for batch in newest if time.time() - batch.created_at < attention.RECENT_S],
            versions,
            ordered,
        )
        return {
            "teachers": len(teachers.every(session)),
            "stored": sum(sums["stored"] for sums in answers),
            "tokens": sum(sums["completion_tokens"] for sums in answers),
            "batches": [batch_out(session, batch) for batch in overview.unfinished(session, limit=LOOKED_AT)],
            "curating": curating,
            "training": [(run, how_far(run.progress)) for run in ordered if run.state in RUNNING],
            "versions": versions[:SHOWN_MAX],
            "runs": ordered[:SHOWN_MAX],
            "notices": notices,
        }
