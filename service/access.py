"""Who may do what. The door puts the caller's scope on the request; routes ask for the scope that they need."""

import hmac
from typing import Annotated

from fastapi import Depends, Request

from service.errors import Problem
from service.scopes import Scope
from service.settings import Settings
from service.store import keys
from service.store.database import Database

RANK = {Scope.READ: 0, Scope.SUBMIT: 1, Scope.ADMIN: 2}


class Forbidden(Problem):
    status, title = 403, "The key does not allow this"


def scope_of(token_sha256: str, settings: Settings, database: Database) -> Scope | None:
    """Return what the token with this hash allows; None means it opens nothing."""
    bootstrap = settings.api_key.get_secret_value() if settings.api_key else ""
    # Compared whatever the token, so that the time it takes tells nothing.
    if hmac.compare_digest(token_sha256, keys.token_hash(bootstrap)) and bootstrap:
        return Scope.ADMIN
    with database.read() as session:
        return keys.scope_of(session, token_sha256)


def by_method(request: Request) -> None:
    """Reading needs `read`, everything else `submit`."""
    _need(request, Scope.READ if request.method in {"GET", "HEAD"} else Scope.SUBMIT)


def _admin(request: Request) -> None:
    _need(request, Scope.ADMIN)


Admin = Annotated[None, Depends(_admin)]
"""A parameter of routes that change who answers or who may ask."""


def _need(request: Request, scope: Scope) -> None:
    held: Scope = request.scope["state"]["scope"]
    if RANK[held] < RANK[scope]:
        raise Forbidden(f"this needs a key with the scope '{scope}', the one given has '{held}'")
