"""A recipe: the ordered list of filters that turns traces into a dataset version."""

import difflib
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from filters.base import Filter
from filters.code_licence import CodeLicence
from filters.consistency import Consistency
from filters.contamination import Contamination
from filters.format import Format
from filters.judged import Judged
from filters.language import LanguageFilter
from filters.length import Length
from filters.licence import LicenceFilter
from filters.near_duplicate import NearDuplicate
from filters.pii import Pii
from filters.refusal import Refusal
from filters.repetition import Repetition
from filters.select import Select
from filters.verified import Verified
from filters.vote import Vote

AnyFilter = Annotated[
    CodeLicence
    | Consistency
    | Contamination
    | Format
    | Judged
    | LanguageFilter
    | Length
    | LicenceFilter
    | NearDuplicate
    | Pii
    | Refusal
    | Repetition
    | Select
    | Verified
    | Vote,
    Field(discriminator="kind"),
]

FILTERS: dict[str, type[Filter]] = {
    filter_.model_fields["kind"].default: filter_ for filter_ in get_args(get_args(AnyFilter)[0])
}
"""Every filter by its kind."""


class Problem(BaseModel):
    """One thing wrong with a recipe."""

    loc: str
    message: str


class RecipeError(ValueError):
    """A recipe that cannot be run; `problems` says where and what, with the nearest valid name."""

    def __init__(self, problems: list[Problem]):
        self.problems = problems
        super().__init__("\n".join(f"{problem.loc}: {problem.message}" for problem in problems))


class Recipe(BaseModel):
    """Ordered filters, cheap to dear: the first rejection wins."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    filters: tuple[AnyFilter, ...]
    """Applied in this order, each to what those before it kept."""
    on_abstain: Literal["keep", "reject"] = "keep"
    """What becomes of a sample that a filter could not judge."""

    @classmethod
    def parse(cls, data: Any) -> Self:
        """Read a recipe from JSON values. Raises `RecipeError`."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise RecipeError([_problem(details, data) for details in error.errors()]) from error

    def with_files(self, folder: Path) -> Self:
        """Return the recipe with filters that read the files they name, benchmarks, from this folder."""
        return self.model_copy(update={"filters": tuple(filter_.with_files(folder) for filter_ in self.filters)})

    def versioned(self) -> dict[str, Any]:
        """Return all that decides about verdicts: every knob, defaults included, with each filter's version."""
        filters = [{**filter_.model_dump(mode="json"), "version": filter_.version} for filter_ in self.filters]
        return {"filters": filters, "on_abstain": self.on_abstain}

    def digest(self) -> str:
        """Return the sha256 of the recipe as canonical JSON: equal digests, equal verdicts on equal traces."""
        canonical = json.dumps(self.versioned(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


def _problem(details: ErrorDetails, data: Any) -> Problem:
    """Say what pydantic found in the recipe's own words."""
    where = details["loc"]
    if where[:1] != ("filters",) or len(where) < 2:
        return Problem(loc="recipe", message=_message(details, "key", where, Recipe.model_fields))
    loc = f"recipe.filters[{where[1]}]"
    if len(where) == 2:
        return Problem(loc=loc, message=_kind_message(data["filters"][where[1]]))
    knobs = [knob for knob in FILTERS[str(where[2])].model_fields if knob != "kind"]
    return Problem(loc=f"{loc} ({where[2]})", message=_message(details, "knob", where[3:], knobs))


def _kind_message(given: Any) -> str:
    kind = given.get("kind") if isinstance(given, dict) else None
    if not isinstance(kind, str):
        return f"every filter needs a kind, one of {', '.join(sorted(FILTERS))}"
    return f"unknown filter {kind!r}; did you mean {_nearest(kind, FILTERS)!r}?"


def _message(details: ErrorDetails, what: str, path: tuple[int | str, ...], valid: Iterable[str]) -> str:
    name = ".".join(map(str, path))
    if details["type"] == "extra_forbidden":
        return f"unknown {what} {name!r}" + (f"; did you mean {_nearest(name, valid)!r}?" if len(path) == 1 else "")
    if details["type"] == "missing":
        return f"{what} {name!r} is missing"
    message = details["msg"].removeprefix("Value error, ")
    return f"{what} {name!r}: {message}" if name else message


def _nearest(name: str, valid: Iterable[str]) -> str:
    return difflib.get_close_matches(name, list(valid), n=1, cutoff=0)[0]
