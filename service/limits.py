"""What is refused at the door, before a route reads anything: bodies that are too large, packed, or unsigned."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access import scope_of
from service.errors import TooLarge, problem_response
from service.openai.errors import error_response, speaks_openai
from service.pages.errors import wants_page
from service.pages.sign_in import ask_for_key
from service.scopes import Scope as Held
from service.sessions import opened
from service.settings import Settings
from service.store.keys import token_hash

LOCAL = {"localhost", "127.0.0.1", "[::1]"}
OPEN = {"/healthz", "/sign-in"}
"""Answered without a key, so that an orchestrator can ask and a person can give one."""
OPEN_FOLDER = "/static/"
"""What the page that asks for the key looks like."""


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
        refusal = await self._refusal(request)
        if refusal is not None:
            status, title, detail = refusal
            if status == 401 and wants_page(request):
                refused = ask_for_key(request)
            elif speaks_openai(request.url.path):
                refused = error_response(status, detail)
            else:
                refused = problem_response(status, title, detail)
            await refused(scope, receive, send)
            return
        most = self.settings.upload_bytes_max if _is_upload(request) else self.settings.body_bytes_max
        await self.app(scope, _counted(receive, most), send)

    async def _refusal(self, request: Request) -> tuple[int, str, str] | None:
        if (elsewhere := _from_elsewhere(request, locked=self.settings.api_key is not None)) is not None:
            return elsewhere
        held: Held | None = Held.ADMIN  # no key is set: whoever reaches the loopback address may do everything
        if self.settings.api_key and not _is_open(request.url.path):
            held = await run_in_threadpool(self._held, request)
        if held is None:
            return 401, "A key is needed", "send 'Authorization: Bearer KEY' with a key that an admin gave you"
        request.scope.setdefault("state", {})["scope"] = held
        encoding = request.headers.get("content-encoding", "identity")
        if encoding != "identity":
            return 415, "The body is packed", f"Content-Encoding '{encoding}' is not taken; send the body as it is"
        return None

    def _held(self, request: Request) -> Held | None:
        """Return what the request's key allows: the one it carries, else the one its browser signed in with."""
        token = request.headers.get("authorization")
        token_sha256 = token_hash(token.removeprefix("Bearer ")) if token else opened(request, self.settings)
        return scope_of(token_sha256 or "", self.settings, request.app.state.database)


def _is_open(path: str) -> bool:
    return path in OPEN or path.startswith(OPEN_FOLDER)


def _from_elsewhere(request: Request, *, locked: bool) -> tuple[int, str, str] | None:
    """Refuse what another site's page sends through a person's browser; the key stops it where there is one."""
    host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
    if not locked and host not in LOCAL:
        # A foreign name that points here (DNS rebinding) would let its pages read everything.
        return (
            400,
            "Unknown host",
            f"this Retort has no key and answers only to {', '.join(sorted(LOCAL))}, not '{host}'",
        )
    if request.headers.get("sec-fetch-site", "") == "cross-site" and request.method not in {"GET", "HEAD"}:
        return 403, "Sent from another site", "a page of another site may not change anything here"
    return None


def _is_upload(request: Request) -> bool:
    return request.url.path.rstrip("/") in {"/api/batches", "/api/imports"}


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
