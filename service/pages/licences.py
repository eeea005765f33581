"""Licences: may these be combined, what is known of each, and what people allowed all the same."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple, cast, get_args

from fastapi import APIRouter, Query, Response

from filters.licences.check import Use, check
from filters.licences.table import rows
from service.api.deps import DatabaseDep
from service.models import DatasetVersion
from service.pages.rendering import page
from service.store import facets, teachers

router = APIRouter(prefix="/licences", include_in_schema=False)

NAMED_MAX = 12
"""Licences of one role in the form; more are asked over the API."""
VERSIONS_LOOKED_AT = 500
"""Newest versions among which overrides are looked for; the audit has them all."""
Names = Annotated[list[str], Query(max_length=NAMED_MAX)]


class Overridden(NamedTuple):
    """What a person allowed all the same, for which version."""

    version: DatasetVersion
    licence: str
    reason: str
    author: str


@router.get("")
def licences(
    database: DatabaseDep,
    teacher: Names = [],  # noqa: B006  FastAPI reads it, nobody writes to it
    prompts: Names = [],  # noqa: B006
    base: Annotated[str, Query(max_length=200)] = "",
    use: str = "commercial",
) -> Response:
    """Show the form with its answer, the table of licences, and the overrides."""
    asked = {"teacher": _named(teacher), "prompts": _named(prompts), "base": base.strip()}
    intended = cast("Use", use if use in get_args(Use) else "commercial")
    answer = None
    if any(asked.values()):
        answer = check(asked["teacher"], asked["prompts"], asked["base"] or None, intended)
    with database.read() as session:
        known = teachers.every(session)
        overridden = _overridden(facets.versions(session, limit=VERSIONS_LOOKED_AT))
    return page(
        "licences.html", asked=asked, use=intended, answer=answer, rows=rows(), teachers=known, overridden=overridden
    )


def _named(given: Sequence[str]) -> list[str]:
    """Return what the form's fields name; a form sends the empty ones too."""
    return list(dict.fromkeys(name.strip() for name in given if name.strip()))


def _overridden(versions: Sequence[DatasetVersion]) -> list[Overridden]:
    found = []
    for version in versions:
        # A sealed version tells those of its recipe too.
        stated = (version.licence or {}).get("overrides") or version.overrides
        found += [Overridden(version, each["licence"], each["reason"], each["author"]) for each in stated]
    return found
