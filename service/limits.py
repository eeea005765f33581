"""What is refused at the door, before a route reads anything: bodies that are too large, packed, or unsigned."""

import hmac

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import TooLarge, problem_response
from service.settings import Settings

OPEN = {"/healthz"}
"""Answered without a key, so that an orchestrator can ask."""


class Door:
    """Checks key and body of every request. An ASGI middleware, so that a body is counted as it streams."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        refusal = self._refusal(request)
        if refusal is not None:
            await problem_response(*refusal)(scope, receive, send)
            return
        most = self.settings.upload_bytes_max if _is_upload(request) else self.settings.body_bytes_max
        await self.app(scope, _counted(receive, most), send)

    def _refusal(self, request: Request) -> tuple[int, str, str] | None:
        key = self.settings.api_key
        if key and request.url.path not in OPEN:
            given = request.headers.get("authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), key.get_secret_value().encode()):
                return 401, "A key is needed", "send the header 'Authorization: Bearer KEY' with the key of RETORT_API_KEY"
        encoding = request.headers.get("content-encoding", "identity")
        if encoding != "identity":
            return 415, "The body is packed", f"Content-Encoding '{encoding}' is not taken; send the body as it is"
        return None


def _is_upload(request: Request) -> bool:
    return request.url.path.rstrip("/") == "/api/batches"


def _counted(receive: Receive, most: int) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise TooLarge(f"the body has more than {most:,} bytes")
        return message

    return counted
