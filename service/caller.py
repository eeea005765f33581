"""Who asks: put on each request by the door, written into the audit by what is done."""

from typing import NamedTuple

from service.scopes import Scope

BOOTSTRAP = "RETORT_API_KEY"
"""What the key from the environment is called; it has no row, and so no id."""
ANYBODY = "anybody"
"""Whoever reaches a Retort that has no key."""


class Caller(NamedTuple):
    """What the request's key allows, whose it is, and where the request came from."""

    scope: Scope
    name: str
    key_id: str | None
    address: str
