"""The funnel: how many samples reached each filter, and what became of them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from filters.manifest import FilterCount
from filters.recipe import Recipe
from filters.stages import Judged
from filters.verdict import Outcome


class Funnel:
    """Counts judged samples. `input` is always `kept` plus the rejections of all filters.

    `behind` are the lines of filters at the head of the recipe that are counted already: only the samples that they
    kept are added.
    """

    def __init__(self, recipe: Recipe, behind: Sequence[FilterCount] = ()):
        self._recipe, self._behind = recipe, behind
        self.input = 0
        self.kept = 0
        size = len(recipe.filters)
        self._rejected, self._abstained = [0] * size, [0] * size
        self._reasons: list[Counter[str]] = [Counter() for _ in range(size)]
        self._notes: list[Counter[str]] = [Counter() for _ in range(size)]

    def add(self, judged: Judged) -> None:
        """Count one sample."""
        self.input += 1
        for abstention in judged.abstentions:
            self._abstained[abstention.index] += 1
            self._reasons[abstention.index][abstention.verdict.reason] += 1
        for note in judged.notes:
            self._notes[note.index][note.verdict.reason] += 1
        if judged.index is None:
            self.kept += 1
            return
        self._rejected[judged.index] += 1
        self._abstained[judged.index] += judged.verdict.outcome is Outcome.ABSTAIN
        self._reasons[judged.index][judged.verdict.reason] += 1

    def watch(self, rows: Iterable[Judged]) -> Iterator[Judged]:
        """Pass the rows on, counting them."""
        for row in rows:
            self.add(row)
            yield row

    def counts(self) -> list[FilterCount]:
        """Return one line for each filter. An abstention counts as one, and as kept or rejected too."""
        lines = list(self._behind)
        reached = lines[-1].kept if lines else self.input
        counted = zip(self._recipe.filters, self._rejected, self._abstained, self._reasons, self._notes, strict=True)
        for filter_, rejected, abstained, reasons, notes in islice(counted, len(lines), None):
            lines.append(
                FilterCount(
                    kind=filter_.kind,
                    version=filter_.version,
                    knobs=filter_.model_dump(mode="json", exclude={"kind"}),
                    input=reached,
                    kept=reached - rejected,
                    rejected=rejected,
                    abstained=abstained,
                    reasons=dict(sorted(reasons.items())),
                    notes=dict(sorted(notes.items())),
                )
            )
            reached -= rejected
        return lines
