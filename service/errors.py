"""Errors a caller meets: each carries its status and is rendered in one place, as an RFC 9457 problem document."""

import difflib
import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.logs import bound

if TYPE_CHECKING:
    from fastapi import FastAPI  # half a second, which the command line need not wait for

log = logging.getLogger(__name__)

SHOWN_MAX = 100
"""Problems listed in one answer; a file with more is mended and sent again."""


class Problem(HTTPException):
    """Something the caller can mend. `errors` are dicts with `message` and, where known, `line` and `field`.

    An HTTPException, because FastAPI hides any other error that rises while it reads a body.
    """

    status = 422
    title = "The request cannot be carried out as it stands"

    def __init__(
        self, detail: str, errors: Iterable[dict[str, Any]] = (), *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(self.status, detail, headers)
        self.errors = list(errors)

    def __str__(self) -> str:
        return self.detail


class NotFound(Problem):
    status, title = 404, "There is no such thing here"


class Conflict(Problem):
    status, title = 409, "The request does not fit the present state"


class TooLarge(Problem):
    status, title = 413, "The body is too large"


class Unavailable(Problem):
    status, title = 503, "Retort cannot do this right now"


class NoSpace(Problem):
    status, title = 507, "The disk is full"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the closest of `known`, or the whole list when none is close."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(names)}" if names else "; none is known yet"


def problem_response(
    status: int,
    title: str,
    detail: str,
    errors: list[dict[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Render one problem document; `request_id` is what the log calls the request."""
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    body |= bound()
    if errors:
        body["errors"] = errors[:SHOWN_MAX]
        body["errors_total"] = len(errors)
    return Response(orjson.dumps(body), status, headers, media_type="application/problem+json")


def install(app: "FastAPI") -> None:
    """Register the handlers that turn every error into a problem document."""
    # Not at the top: the store raises the errors of this module.
    from fastapi.exceptions import RequestValidationError

    from service.store.generation import DatabaseAway

    @app.exception_handler(Problem)
    async def _problem(_: Request, error: Problem) -> Response:
        return problem_response(error.status, error.title, error.detail, error.errors, error.headers)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        title = {404: "There is no such page", 405: "This address does not take that method"}.get(error.status_code)
        detail = f"{request.method} {request.url.path}" if title else str(error.detail)
        return problem_response(error.status_code, title or str(error.detail), detail)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:
        errors = [{"field": _field(item["loc"]), "message": item["msg"]} for item in error.errors()]
        detail = "; ".join(f"{item['field']}: {item['message']}" for item in errors[:3])
        return problem_response(422, Problem.title, detail, errors)

    @app.exception_handler(Exception)
    async def _crash(_: Request, error: Exception) -> Response:
        detail = f"{type(error).__name__}; the log says more under this request's id"
        headers = {"X-Request-Id": bound().get("request_id", "")}
        return problem_response(500, "Retort failed at this request", detail, headers=headers)

    async def _away(_: Request, error: Exception) -> Response:
        away = database_away(error)
        return problem_response(away.status, away.title, away.detail, headers=away.headers)

    for kind in DatabaseAway:
        app.add_exception_handler(kind, _away)


def database_away(error: Exception) -> Unavailable:
    """Return what a caller is told when the database does not answer, is locked or has a full disk; log what it was."""
    log.warning("the database is away: %s", str(error).partition("\n")[0])
    detail = "the database does not answer or cannot write right now; nothing of the request was lost or done by half"
    return Unavailable(detail, headers={"Retry-After": "1"})


def _field(loc: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in loc if part not in {"body", "query"}) or str(loc[-1])
