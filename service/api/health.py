"""Is it alive, is it ready, how much has it done."""

import logging

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from service.api.deps import DatabaseDep
from service.errors import Unavailable

log = logging.getLogger(__name__)
router = APIRouter(tags=["health"])


@router.get("/healthz")
def alive() -> dict[str, str]:
    """Answer as long as the process runs."""
    return {"status": "ok"}


@router.get("/readyz")
def ready(database: DatabaseDep) -> dict[str, str]:
    """Answer 200 when the database answers, 503 otherwise; the log says why."""
    try:
        database.ping()
    except Exception as error:
        log.warning("the database at %s does not answer: %s", database.shown_url, error)
        raise Unavailable("the database does not answer; the log says why") from error
    return {"status": "ready"}


@router.get("/metrics", response_class=Response)
def metrics(request: Request) -> Response:
    """Return figures of queue, teachers, workers, trainings and requests in Prometheus' text format."""
    return Response(generate_latest(request.app.state.registry), media_type=CONTENT_TYPE_LATEST)
