"""How much of what an earlier version says a curation can leave as it stands."""

from dataclasses import dataclass
from typing import Self

from filters.manifest import FilterCount
from filters.recipe import Recipe
from filters.reuse import Reuse
from service.models import DatasetVersion
from workers.people import Reviews


@dataclass(frozen=True, slots=True)
class Precedent:
    """An earlier version of the same traces, and how far what it says still stands."""

    version_id: int
    reuse: Reuse
    copied: int
    """Filters at the head of the recipe of which the database copies what they rejected."""
    start: int
    """The first filter that is run."""
    known: bool
    """Whether verdicts of filters that are run still stand too."""
    texts: bool
    """Whether any filter that is run reads response or reasoning."""

    @classmethod
    def of(
        cls, earlier: DatasetVersion, reuse: Reuse, version: DatasetVersion, recipe: Recipe, reviews: Reviews
    ) -> Self:
        """Return what `earlier` spares `version`."""
        # Copied rows bring their split along.
        copied = reuse.standing if earlier.split == version.split else 0
        # What a person wants kept is judged by every filter, and all go through the same ones.
        start = 0 if reviews.overrule else copied
        texts = any(each.reads_texts for each in recipe.filters[start:])
        return cls(earlier.id or 0, reuse, copied, start, reuse.asked_from(start), texts)

    @property
    def behind(self) -> list[FilterCount]:
        """The lines of the funnel that count what is copied."""
        return self.reuse.behind[: self.copied]
