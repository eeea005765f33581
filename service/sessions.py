"""Signed in with a browser: a cookie that names a key by its hash, and opens what that key opens."""

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request

from service.settings import Settings

COOKIE = "retort_session"
SESSION_S = 12 * 3600
"""A working day; then the key is asked for again."""


def sealed(token_sha256: str, settings: Settings) -> str:
    """Return the cookie's value for a key."""
    return _serializer(settings).dumps(token_sha256)


def opened(request: Request, settings: Settings) -> str | None:
    """Return the hash of the key that a request's cookie names; None without one that is whole and young enough.

    A cookie goes along with whatever a browser sends, so a change counts only if a page of this very origin sent it:
    other ports of this host are the same site, and SameSite would let them.
    """
    value = request.cookies.get(COOKIE)
    if value is None or not (request.method in {"GET", "HEAD"} or _from_own_page(request)):
        return None
    try:
        return str(_serializer(settings).loads(value, max_age=SESSION_S))
    except BadData:
        return None


def _from_own_page(request: Request) -> bool:
    fetched = request.headers.get("sec-fetch-site")
    if fetched is not None:
        return fetched == "same-origin"
    return request.headers.get("origin", "").partition("://")[2] == request.headers.get("host")


def _serializer(settings: Settings) -> URLSafeTimedSerializer:
    # Every API process has this key, and none but an admin knows it; the salt keeps other uses of it apart.
    secret = settings.api_key.get_secret_value() if settings.api_key else ""
    return URLSafeTimedSerializer(secret, salt="retort.session")
