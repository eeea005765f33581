"""Which verdicts of an earlier recipe still stand: after a change only what it can change is judged again."""

from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING

from filters.manifest import FilterCount
from filters.recipe import Recipe
from filters.verdict import KEEP, Verdict

if TYPE_CHECKING:
    from filters.stages import Judged


class Reuse:
    """A recipe's filters that an earlier one, run over the same samples, had too.

    A filter that looks at each sample alone says the same again of whatever reached it then. One that looks at several
    together does so only behind the same filters, since others before it would let other samples through.
    """

    def __init__(self, recipe: Recipe, earlier: Sequence[FilterCount], *, same_stream: bool) -> None:
        """`earlier` is the funnel of that run; `same_stream` is whether nobody overruled what its filters said."""
        self._earlier = earlier
        before = [(line.kind, line.version, line.knobs) for line in earlier]
        self._places: dict[int, int] = {}
        behind_same = same_stream
        for index, filter_ in enumerate(recipe.filters):
            mine = (filter_.kind, filter_.version, filter_.model_dump(mode="json", exclude={"kind"}))
            behind_same = behind_same and before[index : index + 1] == [mine]
            if behind_same:
                self._places[index] = index
            elif filter_.alone and mine in before:
                self._places[index] = before.index(mine)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, index: int) -> bool:
        return index in self._places

    @property
    def standing(self) -> int:
        """How many filters at the head of the recipe say the same as they did: what they rejected stays rejected."""
        return next((index for index in count() if self._places.get(index) != index), 0)

    @property
    def behind(self) -> list[FilterCount]:
        """The lines of the funnel of those."""
        return list(self._earlier[: self.standing])

    def asked_from(self, index: int) -> bool:
        """Return whether it knows a verdict of filter `index` or of one behind it."""
        return any(place >= index for place in self._places)

    def verdict(self, index: int, earlier: "Judged | None") -> Verdict | None:
        """Return what filter `index` says of a sample, None where it has to be asked."""
        place = self._places.get(index)
        if earlier is None or place is None or (earlier.index is not None and earlier.index < place):
            return None
        if earlier.index == place:
            return earlier.verdict
        said = (each.verdict for each in (*earlier.abstentions, *earlier.notes) if each.index == place)
        return next(said, KEEP)
