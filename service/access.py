"""Who may do what. The door puts the caller on the request; routes ask for the scope that they need."""

import hmac
import math
from typing import Annotated

from fastapi import Depends, Request

from service.acts import Act
from service.caller import ANYBODY, BOOTSTRAP, Caller
from service.errors import Problem
from service.scopes import Scope
from service.settings import Settings
from service.store import audit, keys
from service.store.database import Database
from service.throttle import TRIES, Throttle

RANK = {Scope.READ: 0, Scope.SUBMIT: 1, Scope.ADMIN: 2}


class Forbidden(Problem):
    status, title = 403, "The key does not allow this"


class Throttled(Problem):
    status, title = 429, "Too many wrong keys"


def anybody(request: Request) -> Caller:
    """Return the caller where no key is set: whoever reaches the loopback address may do everything."""
    return Caller(Scope.ADMIN, ANYBODY, None, _address(request))


def admitted(token_sha256: str, request: Request) -> Caller | None:
    """Return who holds the token with this hash; None means it opens nothing, which is counted and kept in the audit.

    Raises Throttled where too many wrong ones came from this address.
    """
    state, address = request.app.state, _address(request)
    throttle: Throttle = state.throttle
    wait_s = throttle.wait_s(address, token_sha256)
    if wait_s:
        seconds = math.ceil(wait_s)
        detail = f"{TRIES} keys from {address} opened nothing; no other one is looked at for {seconds} s"
        raise Throttled(detail, headers={"Retry-After": str(seconds)})
    caller = caller_of(token_sha256, request)
    if caller is not None:
        throttle.right(address, token_sha256)
        return caller
    count = throttle.wrong(address)
    if count <= TRIES:
        act = Act.KEY_THROTTLED if count == TRIES else Act.KEY_REFUSED
        with state.database.write() as session:
            # The beginning of the hash tells one wrong key from another, and nothing about either.
            audit.refused(session, act, address, path=request.url.path, sha256=token_sha256[:8])
    return None


def caller_of(token_sha256: str, request: Request) -> Caller | None:
    """Return who holds the token with this hash; None means it opens nothing."""
    settings: Settings = request.app.state.settings
    database: Database = request.app.state.database
    bootstrap = settings.api_key.get_secret_value() if settings.api_key else ""
    # Compared whatever the token, so that the time it takes tells nothing.
    if hmac.compare_digest(token_sha256, keys.token_hash(bootstrap)) and bootstrap:
        return Caller(Scope.ADMIN, BOOTSTRAP, None, _address(request))
    with database.read() as session:
        key = keys.valid(session, token_sha256)
    return Caller(Scope(key.scope), key.name, key.id, _address(request)) if key else None


def by_method(request: Request) -> None:
    """Reading needs `read`, everything else `submit`."""
    _need(request, Scope.READ if request.method in {"GET", "HEAD"} else Scope.SUBMIT)


def _caller(request: Request) -> Caller:
    return request.scope["state"]["caller"]


CallerDep = Annotated[Caller, Depends(_caller)]
"""A parameter of routes that keep in the audit who asked."""


def _admin(request: Request) -> Caller:
    _need(request, Scope.ADMIN)
    return _caller(request)


Admin = Annotated[Caller, Depends(_admin)]
"""A parameter of routes that change who answers or who may ask: the caller, who is an admin."""


def may(caller: Caller, scope: Scope) -> bool:
    """Whether the caller's scope includes this one."""
    return RANK[caller.scope] >= RANK[scope]


def _need(request: Request, scope: Scope) -> None:
    caller = _caller(request)
    if not may(caller, scope):
        raise Forbidden(f"this needs a key with the scope '{scope}', the one given has '{caller.scope}'")


def _address(request: Request) -> str:
    """Return the address at the other end; behind a proxy on this machine, the one that it names."""
    return request.client.host if request.client else ""
