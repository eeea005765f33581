"""Every HTTP request as operators see it: an id, a line in the log, a count and a time by route."""

import logging
import re
import secrets
import time
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.logs import bind

log = logging.getLogger(__name__)

HEADER = "X-Request-Id"
GIVEN = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
"""What a caller or a proxy may call a request; anything else gets an id of ours, lest it forges lines of a log."""
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
UNROUTED = "(none)"
"""Requests that reached no route: refused at the door, or for a page that does not exist."""
CALLED_OFTEN = ("/healthz", "/readyz", "/metrics", "/static/")


class Observed:
    """The outermost layer of the app. Streams last as long as their readers; times end with the first byte."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self.app = app
        self._count = Counter(
            "retort_http_requests",
            "Requests by method, route and status.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "retort_http_request_seconds",
            "Seconds until the answer's first byte.",
            ["method", "route"],
            buckets=SECONDS,
            registry=registry,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given if GIVEN.fullmatch(given) else f"req_{secrets.token_hex(12)}"
        start, status = time.perf_counter(), 0

        async def answered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
                self._note(scope, status, time.perf_counter() - start)
            await send(message)

        bind(request_id=request_id)  # for good: what answers and logs a crash stands further out, in the same task
        try:
            await self.app(scope, receive, answered)
        except Exception:
            if not status:
                self._note(scope, 500, time.perf_counter() - start)
            raise

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method, route = scope["method"], _route(scope)
        self._count.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)
        # The path alone: a query may hold what somebody searched for in traces. Reading is no news.
        changed = method not in {"GET", "HEAD"} and not scope["path"].startswith(CALLED_OFTEN)
        level = logging.WARNING if status >= 500 else logging.INFO if changed or status >= 400 else logging.DEBUG
        told = {"method": method, "route": route, "status": status, "duration_ms": round(1000 * seconds)}
        log.log(level, "%s %s %d in %d ms", method, scope["path"], status, told["duration_ms"], extra=told)


def _route(scope: Scope) -> str:
    with suppress(KeyError, AttributeError):
        return scope["route"].path
    return "/static" if scope["path"].startswith("/static/") else UNROUTED
