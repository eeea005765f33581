"""What is refused at the door, before a route reads anything: bodies that are too large, packed, or unsigned."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access import Throttled, admitted, anybody
from service.caller import Caller
from service.errors import Problem, TooLarge, problem_response
from service.openai.errors import error_response, speaks_openai
from service.pages.errors import wants_page
from service.pages.sign_in import ask_for_key
from service.sessions import opened
from service.settings import Settings
from service.store.keys import token_hash

LOCAL = {"localhost", "127.0.0.1", "[::1]"}
OPEN = {"/healthz", "/sign-in"}
"""Answered without a key, so that an orchestrator can ask and a person can give one."""
OPEN_FOLDER = "/static/"
"""What the page that asks for the key looks like."""


class NeedsKey(Problem):
    status, title = 401, "A key is needed"


class Packed(Problem):
    status, title = 415, "The body is packed"


class UnknownHost(Problem):
    status, title = 400, "Unknown host"


class AnotherSite(Problem):
    status, title = 403, "Sent from another site"


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
            if refusal.status == 401 and wants_page(request):
                refused = ask_for_key(request)
            elif speaks_openai(request.url.path):
                refused = error_response(refusal.status, refusal.detail, headers=refusal.headers)
            else:
                refused = problem_response(refusal.status, refusal.title, refusal.detail, headers=refusal.headers)
            await refused(scope, receive, send)
            return
        most = self.settings.upload_bytes_max if _is_upload(request) else self.settings.body_bytes_max
        await self.app(scope, _counted(receive, most), send)

    async def _refusal(self, request: Request) -> Problem | None:
        if (elsewhere := _from_elsewhere(request, locked=self.settings.api_key is not None)) is not None:
            return elsewhere
        caller: Caller | None = anybody(request)
        if self.settings.api_key and not _is_open(request.url.path):
            try:
                caller = await run_in_threadpool(self._caller, request)
            except Throttled as error:
                return error
        if caller is None:
            return NeedsKey("send 'Authorization: Bearer KEY' with a key that an admin gave you")
        request.scope.setdefault("state", {})["caller"] = caller
        encoding = request.headers.get("content-encoding", "identity")
        if encoding != "identity":
            return Packed(f"Content-Encoding '{encoding}' is not taken; send the body as it is")
        return None

    def _caller(self, request: Request) -> Caller | None:
        """Return who holds the request's key: the one it carries, else the one its browser signed in with."""
        token = request.headers.get("authorization")
        token_sha256 = token_hash(token.removeprefix("Bearer ")) if token else opened(request, self.settings)
        return admitted(token_sha256, request) if token_sha256 else None


def _is_open(path: str) -> bool:
    return path in OPEN or path.startswith(OPEN_FOLDER)


def _from_elsewhere(request: Request, *, locked: bool) -> Problem | None:
    """Refuse what another site's page sends through a person's browser; the key stops it where there is one."""
    host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
    if not locked and host not in LOCAL:
        # A foreign name that points here (DNS rebinding) would let its pages read everything.
        return UnknownHost(f"this Retort has no key and answers only to {', '.join(sorted(LOCAL))}, not '{host}'")
    # Without a key, even a page of another port of this machine is a stranger: a form of it would be carried out.
    strangers = {"cross-site"} if locked else {"cross-site", "same-site"}
    if request.headers.get("sec-fetch-site", "") in strangers and request.method not in {"GET", "HEAD"}:
        return AnotherSite("a page of another site may not change anything here")
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
