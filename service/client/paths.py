"""What the client's requests have in common: pages of lists, paths, and the header that makes a repetition harmless."""

from typing import Generic, TypedDict
from urllib.parse import quote

from pydantic import BaseModel

from service.connection import T


class Page(BaseModel, Generic[T]):
    """One page of a list; `next` is the `after` of the page that follows, None at the end."""

    data: list[T]
    next: int | str | None = None


class Span(TypedDict, total=False):
    """Which page of a list: up to `limit` rows beyond `after`."""

    after: int | None
    limit: int | None


def segment(text: str) -> str:
    """Return one segment of a path: an id with a slash in it must not become two."""
    return quote(text, safe="@")


def version_path(name: str, number: int, *rest: str) -> str:
    """Return the path of a dataset version, or of something below it."""
    return "/".join([f"/api/datasets/{segment(name)}/versions/{number}", *rest])


def key_header(idempotency_key: str | None) -> dict[str, str]:
    """Return the header with which the same request again gives what it made before."""
    return {"Idempotency-Key": idempotency_key} if idempotency_key else {}
