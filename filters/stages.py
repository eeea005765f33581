"""Running a recipe: every sample comes out once, in order, with what became of it."""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import chain
from operator import attrgetter
from typing import Any

from filters.base import Filter
from filters.recipe import Recipe
from filters.reuse import Reuse
from filters.sample import Sample
from filters.spool import Spool
from filters.verdict import KEEP, Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Abstention:
    """A filter that could not judge a sample which went on all the same."""

    index: int
    kind: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Note:
    """What a filter that kept a sample had to say of it."""

    index: int
    kind: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Judged:
    """One sample and what the recipe made of it: a line of the ledger."""

    sample: Sample
    outcome: Outcome = Outcome.KEEP
    """KEEP or REJECT."""
    index: int | None = None
    """Which filter of the recipe rejected it; None when kept."""
    kind: str = ""
    version: int = 0
    verdict: Verdict = KEEP
    """Of the filter that rejected it; an abstention where the recipe rejects those."""
    abstentions: tuple[Abstention, ...] = ()
    notes: tuple[Note, ...] = ()
    """What filters that kept it found worth knowing."""
    earlier: "Judged | None" = None
    """What an earlier recipe made of the same sample, where that may still stand."""

    def __reduce__(self) -> tuple[Any, ...]:
        # As in Sample: it waits in files with it.
        return Judged, _values(self)


_values = attrgetter(*(field.name for field in fields(Judged)))


class FilterCrash(RuntimeError):
    """A filter broke: the curation fails, no sample is rejected for it."""

    def __init__(self, index: int, kind: str, what: str, sample_id: int | None = None):
        self.index, self.kind, self.sample_id = index, kind, sample_id
        at = f" at trace {sample_id}" if sample_id is not None else ""
        super().__init__(f"filter {index} ({kind}){at}: {what}")


def run(
    recipe: Recipe, samples: Iterable[Sample | Judged], reuse: Reuse | None = None, *, start: int = 0
) -> Iterator[Judged]:
    """Yield every sample judged, in order; each filter sees what those before it kept.

    A sample may come as what an earlier recipe made of it: then only those of its verdicts are asked for that `reuse`
    does not know. With `start`, all come so, and the filters before that place have kept every one of them.

    Reads as far ahead as the filters do and holds at most `spool.IN_MEMORY_MAX` samples a filter in memory. Raises
    `FilterCrash` for a filter that raises or yields another number of verdicts than it read samples; what the iterable
    of samples raises passes through.
    """
    known = reuse is not None and reuse.asked_from(start)
    rows: Generator[Judged] = (_begun(given, start, known=known) for given in samples)
    for index, filter_ in list(enumerate(recipe.filters))[start:]:
        rows = _Stage(index, filter_, recipe.on_abstain == "reject", reuse).judge(rows)
    return rows


def _begun(given: Sample | Judged, start: int, *, known: bool) -> Judged:
    """Return a sample as filter `start` is to see it; `known` is whether what was said of it may still be asked for."""
    if isinstance(given, Sample):
        return Judged(given)
    if not known and given.index is None and not given.abstentions and not given.notes:
        return given
    abstentions = tuple(each for each in given.abstentions if each.index < start)
    notes = tuple(each for each in given.notes if each.index < start)
    return Judged(given.sample, abstentions=abstentions, notes=notes, earlier=given if known else None)


class _Stage:
    """One filter of a running recipe. Rows that it need not judge pass it by, in their place."""

    def __init__(self, index: int, filter_: Filter, abstention_rejects: bool, reuse: Reuse | None):
        self._index = index
        self._filter = filter_
        self._kind: str = getattr(filter_, "kind", type(filter_).__name__)
        self._abstention_rejects = abstention_rejects
        self._reuse = reuse
        self._read: Spool[tuple[Judged, bool]] = Spool()
        """Rows, and whether each waits for a verdict."""
        self._last_id: int | None = None
        self._upstream_error: BaseException | None = None

    def judge(self, rows: Generator[Judged]) -> Generator[Judged]:
        verdicts: Iterator[Verdict] = iter(())
        try:
            if self._reuse and self._index in self._reuse:
                # Often it need not judge at all; then nothing has to wait, and the filter does not even start.
                yield from self._until_asked(rows)
                if not self._read:
                    return
            first = [self._noted(self._read.first()[0])] if self._read else []
            verdicts = self._filter.judge(chain(first, self._survivors(rows)))
            for verdict in self._checked(verdicts, rows):
                yield from self._passing()
                if not self._read:
                    raise self._crash("it gave more verdicts than it read samples")
                yield self._decide(self._read.popleft()[0], verdict)
            yield from self._passing()
            if self._read:
                raise self._crash("it gave fewer verdicts than it read samples", self._read.first()[0].sample.id)
        finally:
            # Nobody may be left to read the rest: end processes and files now, not when memory is next tidied.
            for open_ in (verdicts, rows, self._read):
                getattr(open_, "close", lambda: None)()

    def _until_asked(self, rows: Generator[Judged]) -> Iterator[Judged]:
        """Yield rows up to the first that the filter has to judge; that one waits in `_read`."""
        for row in rows:
            self._take(row)
            if self._read.first()[1]:
                return
            yield self._read.popleft()[0]

    def _take(self, row: Judged) -> bool:
        """Take a row in, decided where that is known already; return whether the filter has to judge it."""
        known = self._reuse.verdict(self._index, row.earlier) if self._reuse else None
        if known and row.outcome is Outcome.KEEP:
            row = self._decide(row, known)
        asked = row.outcome is Outcome.KEEP and not known
        self._read.append((row, asked))
        return asked

    def _checked(self, verdicts: Iterator[Verdict], rows: Generator[Judged]) -> Iterator[Verdict]:
        try:
            for verdict in verdicts:
                if not isinstance(verdict, Verdict):
                    raise TypeError(f"it gave {type(verdict).__name__} for a verdict")
                yield verdict
        except Exception as error:
            if self._upstream_error is not None:
                raise self._upstream_error  # noqa: B904 - its own cause is the true one
            # Only a filter that judges samples one by one broke at the sample it read last.
            one_by_one = type(self._filter).judge is Filter.judge
            what = f"{type(error).__name__}: {error}"
            raise self._crash(what, self._last_id if one_by_one else None) from error
        # A filter may stop early without having read everything: what is left has no verdict either.
        for _ in self._survivors(rows):
            break

    def _survivors(self, rows: Generator[Judged]) -> Iterator[Sample]:
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except BaseException as error:
                self._upstream_error = error
                raise
            if self._take(row):
                yield self._noted(row)

    def _noted(self, row: Judged) -> Sample:
        self._last_id = row.sample.id
        return row.sample

    def _passing(self) -> Iterator[Judged]:
        """Yield the rows at the front that wait for no verdict."""
        while self._read and not self._read.first()[1]:
            yield self._read.popleft()[0]

    def _decide(self, row: Judged, verdict: Verdict) -> Judged:
        if verdict.outcome is Outcome.KEEP:
            if not verdict.reason:
                return row
            return replace(row, notes=(*row.notes, Note(self._index, self._kind, verdict)))
        if verdict.outcome is Outcome.ABSTAIN and not self._abstention_rejects:
            return replace(row, abstentions=(*row.abstentions, Abstention(self._index, self._kind, verdict)))
        return replace(
            row,
            outcome=Outcome.REJECT,
            index=self._index,
            kind=self._kind,
            version=self._filter.version,
            verdict=verdict,
        )

    def _crash(self, what: str, sample_id: int | None = None) -> FilterCrash:
        return FilterCrash(self._index, self._kind, what, sample_id)
