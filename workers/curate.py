"""One curation: judge every trace, keep the ledger, export what is kept, seal the version."""

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from typing import Any

from filters.funnel import Funnel
from filters.judged import Asker
from filters.judged import Judged as JudgedByTeacher
from filters.manifest import FilterCount, NearPrompts
from filters.near_duplicate import NearDuplicate
from filters.recipe import Recipe
from filters.sample import Sample
from filters.stages import FilterCrash, Judged, run
from service.counting import ROWS
from service.models import DatasetVersion, Job, VersionState
from service.settings import Settings
from service.store import curation, ledger, precedents, queue
from service.store.curation import Span, Stretch
from service.store.queue import LeaseLost
from workers.asked import Asked, Interrupted, Unavailable
from workers.attempt import Attempt, Stopped
from workers.database import AsyncDatabase
from workers.export import discard_partial
from workers.lease import held
from workers.people import Reviews
from workers.precedent import Precedent
from workers.sealing import rebuild, seal
from workers.splits import Splits, asks_nothing_of_others
from workers.verdicts import NO_VERDICT, columns

log = logging.getLogger(__name__)

LEDGER_ROWS = 2000
"""Verdicts in one transaction."""
COPY_ROWS, CLEAR_ROWS = 10_000, 20_000
"""Rows that the database copies or deletes by itself in one transaction."""
TELL_EVERY_S = 1.0
COLLECT_EVERY = 50_000
"""Objects made between two looks for garbage."""


async def curate(job: Job, database: AsyncDatabase, settings: Settings, stopping: asyncio.Event) -> None:
    """Curate the version that the job names, in a thread. Raises LeaseLost when the job was taken over."""
    stop = threading.Event()

    async def work() -> None:
        asker = Asked(database, settings, asyncio.get_running_loop(), stop)
        claimed = Curation(Attempt(job, database.database, settings, stop), asker)
        thread = asyncio.create_task(asyncio.to_thread(claimed.run))
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

    def __init__(self, attempt: Attempt, asker: Asker | None = None) -> None:
        self._attempt, self._asker = attempt, asker
        self._job, self._settings, self._version_id = attempt.job, attempt.settings, attempt.version_id
        self._rows: list[dict[str, Any]] = []
        """Verdicts that are not in the ledger yet."""
        self._done, self._told_at = 0, 0.0
        self._last_read: int | None = None
        self._splits = Splits({})
        self._split = (0, "")
        """Of the prompt that was noted last: its answers follow each other."""

    def run(self) -> None:
        """Do all of it."""
        version = self._attempt.read(curation.get, self._version_id)
        if self._job.payload.get("rebuild"):
            try:
                rebuild(self._attempt, version)
            except (LeaseLost, Stopped):
                raise
            except Exception as error:
                # The version stays sealed and its old folder where it is: only this attempt failed, and says why.
                log.exception("rebuilding %s", self._job.subject)
                detail = f"{type(error).__name__}: {error}"
                self._attempt.write(curation.rebuilt, self._job, reason="rebuild_crashed", detail=detail)
            return
        if version.state != VersionState.CURATING:
            self._attempt.write(queue.finish, self._job)
            return
        thresholds = gc.get_threshold()
        try:
            # Rows wait by the ten thousand and are no garbage: looking for some among them cost a tenth of the time.
            gc.set_threshold(COLLECT_EVERY, *thresholds[1:])
            self._curate(version)
        except (LeaseLost, Stopped):
            raise
        except FilterCrash as crash:
            if isinstance(crash.__cause__, Interrupted):
                raise Stopped from crash
            reason = "judge_unavailable" if isinstance(crash.__cause__, Unavailable) else "filter_crashed"
            self._fail(version, reason, str(crash))
        except Exception as error:
            log.exception("curating %s", self._job.subject)
            self._fail(version, "curation_crashed", f"{type(error).__name__}: {error}")
        finally:
            gc.set_threshold(*thresholds)

    def _curate(self, version: DatasetVersion) -> None:
        # First of all: whatever comes after it makes another hash in the end.
        inputs = self._attempt.read(precedents.inputs_sha256, version.batches)
        spans = self._attempt.read(curation.spans, version.batches)
        reviews = Reviews(self._attempt.read(curation.reviews, version.batches))
        if version.funnel and version.inputs_sha256 == inputs:
            funnel = [FilterCount.model_validate(line) for line in version.funnel]
        else:
            self._begin(self._attempt.read(curation.size, version.batches))
            funnel = self._judge(version, spans, reviews, inputs)
            self._judged(version, funnel, inputs)
        seal(self._attempt, version, spans, reviews, funnel)

    def _judged(self, version: DatasetVersion, funnel: list[FilterCount], inputs: str) -> None:
        """Note that the ledger is whole, so that nothing is judged twice should this worker end while it exports."""
        same = inputs == self._attempt.read(precedents.inputs_sha256, version.batches)
        version.near_prompts = self._splits.near and self._splits.near.model_dump()
        values = {
            "funnel": [line.model_dump() for line in funnel],
            "inputs_sha256": inputs if same else "",
            "near_prompts": version.near_prompts,
        }
        self._attempt.write(curation.judged, self._job, self._version_id, lease_s=self._settings.lease_s, **values)

    def _begin(self, total: int) -> None:
        options = {"total": total, "lease_s": self._settings.lease_s, "chunk": CLEAR_ROWS}
        while not self._attempt.write(ledger.begin, self._job, self._version_id, **options):
            self._attempt.check()

    def _judge(self, version: DatasetVersion, spans: list[Span], reviews: Reviews, inputs: str) -> list[FilterCount]:
        """Fill the ledger, with what an earlier version's says where that still stands; return the funnel."""
        recipe = Recipe.parse(version.recipe).with_files(self._settings.benchmarks)
        for filter_ in recipe.filters:
            if isinstance(filter_, JudgedByTeacher) and self._asker:
                filter_.ask_through(self._asker)
            elif isinstance(filter_, NearDuplicate):
                filter_.keep_in(self._settings.data_dir / "sketches")
        earlier, reuse = self._attempt.read(precedents.reusable, recipe, inputs, same_stream=not reviews.overrule)
        precedent = Precedent.of(earlier, reuse, version, recipe, reviews) if earlier else None
        self._splits = self._split_prompts(version, spans, inputs)
        held = [span for span in spans if span.batch_id in version.split.get("eval_batches", ())]
        self._splits.hold_back(text for page in self._attempt.prompts(held) for _, text in page)
        if precedent and precedent.copied:
            self._take_over(precedent)
        funnel = Funnel(recipe, precedent.behind if precedent else ())
        samples = self._samples(version, spans, reviews, precedent)
        reuse, start = (precedent.reuse, precedent.start) if precedent else (None, 0)
        with closing(run(recipe, samples, reuse, start=start)) as rows:  # pyright: ignore[reportArgumentType]
            for row in rows:
                judged, said = reviews.overruled(row)
                funnel.add(judged)
                self._note(version, judged.sample, columns(judged) | said)
        self._flush()
        return reviews.funnel(funnel.counts(), self._done)

    def _take_over(self, precedent: Precedent) -> None:
        """Have the database copy what nothing behind it can change."""
        last = 0
        given = {"before": precedent.copied, "limit": COPY_ROWS, "lease_s": self._settings.lease_s}
        ids = self._job, self._version_id, precedent.version_id
        while found := self._attempt.write(ledger.take_over, *ids, after=last, **given):
            self._attempt.check()
            last, copied = found
            self._done += copied

    def _samples(
        self, version: DatasetVersion, spans: list[Span], reviews: Reviews, precedent: Precedent | None
    ) -> Iterator[Sample | Judged]:
        """Yield what the filters are to see; what a person rejected goes into the ledger right here."""

        def fetch(stretch: Stretch) -> list[Judged]:
            if precedent is None:
                return [Judged(sample) for sample in self._attempt.read(curation.page, stretch)]
            given = {"reached": precedent.copied}
            if precedent.known:
                return self._attempt.read(precedents.judged_page, precedent.version_id, stretch, **given)
            return self._attempt.read(
                precedents.survivors, precedent.version_id, stretch, texts=precedent.texts, **given
            )

        for row in chain.from_iterable(self._attempt.pages(spans, fetch)):
            sample = row.sample
            self._last_read = sample.id
            if rejection := reviews.rejection(sample):
                self._note(version, sample, rejection)
            elif precedent is None or sample.id in reviews:
                yield reviews.edited(sample)
            else:
                yield row

    def _split_prompts(self, version: DatasetVersion, spans: list[Span], inputs: str) -> Splits:
        """Return the splits of all prompts, those of an earlier version where it asked the same of the same."""
        if not asks_nothing_of_others(version.split) and (
            told := self._attempt.read(precedents.splits, inputs, version.split)
        ):
            return Splits(version.split, told[0], NearPrompts.model_validate(told[1]))
        return Splits.of(version.split, self._attempt.prompts(spans), self._settings.data_dir / "sketches")

    def _note(self, version: DatasetVersion, sample: Sample, said: dict[str, Any]) -> None:
        if self._split[0] != sample.prompt_id:
            self._split = sample.prompt_id, self._splits(sample.prompt_id, sample.prompt_text)
        ids = {"version_id": self._version_id, "trace_id": sample.id, "split": self._split[1]}
        self._rows.append(NO_VERDICT | said | ids)
        if len(self._rows) >= LEDGER_ROWS:
            self._flush()

    def _flush(self) -> None:
        self._attempt.check()
        self._done += len(self._rows)
        ROWS.labels("curated").inc(len(self._rows))
        now = time.monotonic()
        tell = now - self._told_at >= TELL_EVERY_S
        done = self._done if tell else None
        self._attempt.write(ledger.add, self._job, self._rows, lease_s=self._settings.lease_s, done=done)
        self._told_at = now if tell else self._told_at
        self._rows = []

    def _fail(self, version: DatasetVersion, reason: str, detail: str) -> None:
        if self._last_read is not None and str(self._last_read) not in detail:
            detail = f"{detail}; the last trace read was {self._last_read}"
        self._attempt.write(curation.fail, self._job, self._version_id, reason=reason, detail=detail)
        discard_partial(self._attempt.folder(version))
