"""Pure judgement: a sample in, a verdict out. A library of its own: `import filters` loads nothing until it is used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from filters.base import Filter
    from filters.funnel import Funnel
    from filters.manifest import FilterCount, Licence, Manifest, Part, TeacherEntry
    from filters.recipe import FILTERS, AnyFilter, Recipe, RecipeError
    from filters.sample import Sample
    from filters.stages import Abstention, FilterCrash, Judged, run
    from filters.verdict import KEEP, Outcome, Verdict, abstain, reject

_HOMES = {
    "base": ["Filter"],
    "funnel": ["Funnel"],
    "manifest": ["FilterCount", "Licence", "Manifest", "Part", "TeacherEntry"],
    "recipe": ["FILTERS", "AnyFilter", "Recipe", "RecipeError"],
    "stages": ["Abstention", "FilterCrash", "Judged", "run"],
    "sample": ["Sample"],
    "verdict": ["KEEP", "Outcome", "Verdict", "abstain", "reject"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "FILTERS",
    "KEEP",
    "Abstention",
    "AnyFilter",
    "Filter",
    "FilterCount",
    "FilterCrash",
    "Funnel",
    "Judged",
    "Licence",
    "Manifest",
    "Outcome",
    "Part",
    "Recipe",
    "RecipeError",
    "Sample",
    "TeacherEntry",
    "Verdict",
    "abstain",
    "reject",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'filters' has no attribute {name!r}")
    return getattr(import_module(f"filters.{_HOME_OF[name]}"), name)
