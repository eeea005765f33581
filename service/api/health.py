"""Is it alive, is it ready, how much has it done."""

from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from service.api.deps import DatabaseDep
from service.errors import Unavailable

router = APIRouter(tags=["health"])


@router.get("/healthz")
def alive() -> dict[str, str]:
    """Answer as long as the process runs."""
    return {"status": "ok"}


@router.get("/readyz")
def ready(database: DatabaseDep) -> dict[str, Any]:
    """Answer 200 when the database answers, 503 otherwise."""
    try:
        database.ping()
    except Exception as error:
        raise Unavailable(f"the database at {database.shown_url} does not answer: {error}") from error
    return {"status": "ready", "database": database.shown_url}


@router.get("/metrics", response_class=Response)
def metrics(request: Request) -> Response:
    """Return figures of queue, teachers, workers, trainings and requests in Prometheus' text format."""
    return Response(generate_latest(request.app.state.registry), media_type=CONTENT_TYPE_LATEST)
