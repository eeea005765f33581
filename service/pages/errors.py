"""Errors as pages: whoever asks with a browser gets HTML, everyone else the problem document."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from service.errors import Problem
from service.logs import bound
from service.pages.rendering import page

Handler = Callable[[Request, Any], Awaitable[Response]]
MACHINES = ("/api/", "/v1/", "/static/", "/healthz", "/readyz", "/metrics")
TITLES = {404: "There is no such page", 422: "This address cannot be read"}


def install(app: FastAPI) -> None:
    """Put pages in front of the handlers that the app has for errors."""
    for kind in (Problem, HTTPException, RequestValidationError):
        app.exception_handlers[kind] = _handler(app.exception_handlers[kind])  # pyright: ignore[reportArgumentType]


def _handler(otherwise: Handler) -> Handler:
    async def shown(request: Request, error: Any) -> Response:
        if not (wants_page(request) or _is_form(request)):
            return await otherwise(request, error)
        status = getattr(error, "status_code", 422)
        title = error.title if isinstance(error, Problem) else TITLES.get(status, "This did not work")
        detail = error.detail if isinstance(error, Problem) else f"{request.method} {request.url.path}"
        request_id = bound().get("request_id", "")
        return page("error.html", status=status, code=status, title=title, detail=detail, request_id=request_id)

    return shown


def wants_page(request: Request) -> bool:
    """Whether a person in front of a browser asks."""
    is_page = request.method in {"GET", "HEAD"} and not request.url.path.startswith(MACHINES)
    return is_page and "text/html" in request.headers.get("accept", "")


def _is_form(request: Request) -> bool:
    """Whether a person sent a form of a page."""
    own = request.method == "POST" and not request.url.path.startswith(MACHINES)
    return own and "text/html" in request.headers.get("accept", "")
