"""One curation: judge every trace, keep the ledger, export what is kept, seal the version."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, TypeVar

from filters.funnel import Funnel
from filters.judged import Asker
from filters.judged import Judged as JudgedByTeacher
from filters.manifest import FilterCount
from filters.near_duplicate import NearDuplicate
from filters.recipe import Recipe
from filters.sample import Sample
from filters.stages import FilterCrash, Judged, run
from filters.verdict import Outcome
from service.models import DatasetVersion, Job, VersionState
from service.settings import Settings
from service.store import curation, precedents, queue
from service.store.curation import Entry, Key, Span
from service.store.database import Database
from service.store.queue import LeaseLost
from workers.asked import Asked, Interrupted, Unavailable
from workers.database import AsyncDatabase, patiently
from workers.export import discard_partial, partial_folder, put_in_place
from workers.lease import held
from workers.people import Reviews
from workers.seal import write_folder
from workers.splits import split_of

log = logging.getLogger(__name__)
Row = TypeVar("Row", Judged, Entry)

PAGE_ROWS = 2000
LEDGER_ROWS = 1000
"""Verdicts in one transaction."""
CLEAR_ROWS = 20_000
TELL_EVERY_S = 1.0


class Stopped(Exception):
    """The worker stops, or the job is no longer its own: the next one begins this curation anew."""


async def curate(job: Job, database: AsyncDatabase, settings: Settings, stopping: asyncio.Event) -> None:
    """Curate the version that the job names, in a thread. Raises LeaseLost when the job was taken over."""
    stop = threading.Event()

    async def work() -> None:
        asker = Asked(database, settings, asyncio.get_running_loop(), stop)
        thread = asyncio.create_task(asyncio.to_thread(Curation(job, database.database, settings, stop, asker).run))
        stopper = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait((thread, stopper), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.set()
            stopper.cancel()
            await asyncio.gather(thread, return_exceptions=True)
        thread.result()

    try:
        await held(database, job, settings.lease_s, work())
    except Stopped:
        await database.write(queue.put_back, job)


class Curation:
    """A claimed curation. `run` seals the version or fails it; raises Stopped or LeaseLost and leaves it as it is."""

    def __init__(
        self, job: Job, database: Database, settings: Settings, stop: threading.Event, asker: Asker | None = None
    ) -> None:
        self._job, self._database, self._settings, self._stop = job, database, settings, stop
        self._asker = asker
        self._version_id = int(job.payload["version_id"])
        self._rows: list[dict[str, Any]] = []
        """Verdicts that are not in the ledger yet."""
        self._done, self._told_at = 0, 0.0
        self._last_read: int | None = None

    def run(self) -> None:
        """Do all of it."""
        version = self._read(curation.get, self._version_id)
        if version.state != VersionState.CURATING:
            self._write(queue.finish, self._job)
            return
        try:
            self._curate(version)
        except (LeaseLost, Stopped):
            raise
        except FilterCrash as crash:
            if isinstance(crash.__cause__, Interrupted):
                raise Stopped from crash
            reason = "judge_unavailable" if isinstance(crash.__cause__, Unavailable) else "filter_crashed"
            self._fail(reason, str(crash))
        except Exception as error:
            log.exception("curating %s", self._job.subject)
            self._fail("curation_crashed", f"{type(error).__name__}: {error}")

    def _curate(self, version: DatasetVersion) -> None:
        spans = self._read(curation.spans, version.batches)
        teachers = self._read(curation.teachers)
        reviews = Reviews(self._read(curation.reviews, version.batches))
        inputs = self._read(precedents.inputs_sha256, version.batches)
        self._begin(self._read(curation.size, version.batches))
        funnel = self._judge(version, spans, reviews, inputs)
        folder = self._settings.data_dir / "datasets" / version.dataset / f"v{version.number}"
        partial = partial_folder(folder, self._job.attempts)
        entries = self._entries(spans, reviews)
        batches = self._read(curation.batches_of, version)
        values = write_folder(partial, version, entries, funnel, teachers, batches)
        values["path"] = f"datasets/{version.dataset}/v{version.number}"
        if inputs == self._read(precedents.inputs_sha256, version.batches):
            values["inputs_sha256"] = inputs

        def seal(session: Any) -> None:
            # Behind the fence and before the commit: no two attempts ever give their folder the name.
            curation.seal(session, self._job, self._version_id, values)
            put_in_place(partial, folder)

        self._write(seal)
        discard_partial(folder)

    def _begin(self, total: int) -> None:
        options = {"total": total, "lease_s": self._settings.lease_s, "chunk": CLEAR_ROWS}
        while not self._write(curation.begin, self._job, self._version_id, **options):
            self._check()

    def _judge(self, version: DatasetVersion, spans: list[Span], reviews: Reviews, inputs: str) -> list[FilterCount]:
        """Fill the ledger, with what an earlier version's says where that still stands; return the funnel."""
        recipe = Recipe.parse(version.recipe).with_files(self._settings.benchmarks)
        for filter_ in recipe.filters:
            if isinstance(filter_, JudgedByTeacher) and self._asker:
                filter_.ask_through(self._asker)
            elif isinstance(filter_, NearDuplicate):
                filter_.keep_in(self._settings.data_dir / "sketches")
        funnel = Funnel(recipe)
        earlier, reuse = self._read(precedents.reusable, recipe, inputs, same_stream=not reviews.overrule)
        samples = self._samples(version, spans, reviews, earlier)
        with closing(run(recipe, samples, reuse)) as rows:  # pyright: ignore[reportArgumentType]
            for row in rows:
                judged, said = reviews.overruled(row)
                funnel.add(judged)
                self._note(version, judged.sample, _columns(judged) | said)
        self._flush()
        return reviews.funnel(funnel.counts(), self._done)

    def _samples(
        self, version: DatasetVersion, spans: list[Span], reviews: Reviews, earlier: DatasetVersion | None
    ) -> Iterator[Sample | Judged]:
        """Yield what the filters are to see; what a person rejected goes into the ledger right here."""

        def fetch(span: Span, after: Key | None) -> list[Judged]:
            if earlier is None:
                return [Judged(sample) for sample in self._read(curation.page, span, after=after, limit=PAGE_ROWS)]
            return self._read(precedents.judged_page, earlier.id, span, after=after, limit=PAGE_ROWS)

        for row in self._each(spans, fetch, lambda row: row.sample):
            sample = row.sample
            self._last_read = sample.id
            if rejection := reviews.rejection(sample):
                self._note(version, sample, rejection)
            elif earlier is None or sample.id in reviews:
                yield reviews.edited(sample)
            else:
                yield row

    def _entries(self, spans: list[Span], reviews: Reviews) -> Iterator[Entry]:
        """Yield the finished ledger in order, with the text as it was judged."""

        def fetch(span: Span, after: Key | None) -> list[Entry]:
            return self._read(curation.ledger_page, self._version_id, span, after=after, limit=PAGE_ROWS)

        for entry in self._each(spans, fetch, lambda entry: entry.sample):
            yield reviews.edited_entry(entry)

    def _each(
        self, spans: list[Span], fetch: Callable[[Span, Key | None], list[Row]], sample_of: Callable[[Row], Sample]
    ) -> Iterator[Row]:
        """Yield all rows of all batches, a page in memory at a time."""
        for span in spans:
            after: Key | None = None
            while page := fetch(span, after):
                self._check()
                yield from page
                last = sample_of(page[-1])
                after = (last.prompt_id, last.teacher, last.sample_index)

    def _note(self, version: DatasetVersion, sample: Sample, columns: dict[str, Any]) -> None:
        ids = {"version_id": self._version_id, "trace_id": sample.id}
        self._rows.append(NO_VERDICT | columns | ids | {"split": split_of(sample.prompt_text, version.split)})
        if len(self._rows) >= LEDGER_ROWS:
            self._flush()

    def _flush(self) -> None:
        self._check()
        self._done += len(self._rows)
        now = time.monotonic()
        tell = now - self._told_at >= TELL_EVERY_S
        done = self._done if tell else None
        self._write(curation.add, self._job, self._rows, lease_s=self._settings.lease_s, done=done)
        self._told_at = now if tell else self._told_at
        self._rows = []

    def _fail(self, reason: str, detail: str) -> None:
        if self._last_read is not None and str(self._last_read) not in detail:
            detail = f"{detail}; the last trace read was {self._last_read}"
        self._write(curation.fail, self._job, self._version_id, reason=reason, detail=detail)

    def _check(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def _read(self, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return patiently(self._database.read, work, *args, **options)

    def _write(self, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return patiently(self._database.write, work, *args, **options)


NO_VERDICT: dict[str, Any] = {
    "outcome": "keep",
    "filter_index": None,
    "filter": "",
    "filter_version": None,
    "reason": "",
    "detail": "",
    "evidence": None,
    "abstentions": None,
    "notes": None,
}


def _columns(judged: Judged) -> dict[str, Any]:
    """Return a judgement as the ledger's columns."""
    abstentions = [
        {"filter_index": said.index, "filter": said.kind, "reason": said.verdict.reason, "detail": said.verdict.detail}
        for said in judged.abstentions
    ]
    if judged.verdict.outcome is Outcome.ABSTAIN:
        why = {"reason": judged.verdict.reason, "detail": judged.verdict.detail}
        abstentions.append({"filter_index": judged.index, "filter": judged.kind, **why})
    notes = [
        {
            "filter_index": said.index,
            "filter": said.kind,
            "reason": said.verdict.reason,
            "detail": said.verdict.detail,
            "evidence": said.verdict.evidence,
        }
        for said in judged.notes
    ]
    columns: dict[str, Any] = {
        "outcome": judged.outcome.value,
        "abstentions": abstentions or None,
        "notes": notes or None,
    }
    if judged.index is None:
        return columns
    return columns | {
        "filter_index": judged.index,
        "filter": judged.kind,
        "filter_version": judged.version,
        "reason": judged.verdict.reason,
        "detail": judged.verdict.detail,
        "evidence": judged.verdict.evidence,
    }
