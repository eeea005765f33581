"""Errors as OpenAI words them, `{"error": {"message", "type", "param", "code"}}`: its SDKs make exceptions of them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from service.errors import Problem, database_away
from service.logs import bound
from service.store.generation import DatabaseAway

Handler = Callable[[Request, Any], Awaitable[Response]]

INVALID = 422
"""What native routes call a body that cannot be used; OpenAI's SDKs expect 400."""
CODES = {401: "invalid_api_key", 403: "insufficient_permissions", 413: "request_too_large", 429: "rate_limit_exceeded"}


class Refused(Problem):
    """An error with the `param` and `code` that clients of this door switch on."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        super().__init__(message)
        self.param, self.code, self.headers = param, code, headers


class ModelNotFound(Refused):
    def __init__(self, message: str) -> None:
        super().__init__(message, status=404, param="model", code="model_not_found")


def error_object(status: int, message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """Return the object that stands in an answer, and in a stream that breaks off."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    if status == 429:
        kind = "rate_limit_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code or CODES.get(status)}}


def error_response(
    status: int,
    message: str,
    param: str | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Render one error."""
    status = 400 if status == INVALID else status
    body = orjson.dumps(error_object(status, message, param, code))
    return Response(body, status, headers, media_type="application/json")


def speaks_openai(path: str) -> bool:
    """Whether who asks for this path expects OpenAI's errors."""
    return path == "/v1" or path.startswith("/v1/")


def install(app: FastAPI) -> None:
    """Put OpenAI's errors in front of the handlers that the app has, for the paths of this door."""
    for kind, show in SHOWN.items():
        app.add_exception_handler(kind, _either(show, app.exception_handlers.get(kind)))


def _problem(_: Request, error: Problem) -> Response:
    param = next((item["field"] for item in error.errors if item.get("field")), None)
    code = next((item["code"] for item in error.errors if item.get("code")), None)
    if isinstance(error, Refused):
        param, code = error.param, error.code
    return error_response(error.status, error.detail, param, code, error.headers)


def _http(request: Request, error: HTTPException) -> Response:
    place = f"{request.method} {request.url.path}"
    if error.status_code == 404:
        return error_response(404, f"Unknown request URL: {place}", code="unknown_url")
    if error.status_code == 405:
        return error_response(405, f"This URL does not take that method: {place}", code="method_not_supported")
    return error_response(error.status_code, str(error.detail))


def _invalid(_: Request, error: RequestValidationError) -> Response:
    found = [(_param(item["loc"]), item) for item in error.errors()]
    message = "; ".join(f"{param}: {item['msg'].removeprefix('Value error, ')}" for param, item in found[:3])
    param, first = found[0]
    code = {"missing": "missing_required_parameter", "extra_forbidden": "unknown_parameter"}.get(first["type"])
    return error_response(INVALID, message, param, code or "invalid_value")


def _param(loc: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in loc if part not in {"body", "query", "path", "header"}) or str(loc[-1])


def _crash(_: Request, error: Exception) -> Response:
    message = f"Retort failed at this request ({type(error).__name__}); its log says more"
    return error_response(500, message, headers={"X-Request-Id": bound().get("request_id", "")})


def _away(request: Request, error: Exception) -> Response:
    return _problem(request, database_away(error))


SHOWN: dict[type[Exception], Callable[[Request, Any], Response]] = {
    **dict.fromkeys(DatabaseAway, _away),
    Problem: _problem,
    HTTPException: _http,
    RequestValidationError: _invalid,
    Exception: _crash,
}


def _either(show: Callable[[Request, Any], Response], otherwise: Any) -> Handler:
    async def shown(request: Request, error: Any) -> Response:
        if speaks_openai(request.url.path):
            return show(request, error)
        return await otherwise(request, error)

    return shown
