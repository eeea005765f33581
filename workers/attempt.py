"""One worker's attempt at a job over a version's traces: its way to the database, and all of them page by page."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from filters.sample import text_of
from filters.stages import Judged
from service.models import DatasetVersion, Job
from service.settings import Settings
from service.store import curation, ledger
from service.store.curation import Key, Span, Stretch
from service.store.database import Database
from service.store.ledger import LedgerPage
from workers.database import patiently
from workers.people import Reviews

Page = TypeVar("Page", list[Judged], LedgerPage)

PAGE_ROWS = 1000


class Stopped(Exception):
    """The worker stops, or the job is no longer its own: the next one begins this job anew."""


class Attempt:
    """A claimed job, a version, and what both need of the database."""

    def __init__(self, job: Job, database: Database, settings: Settings, stop: threading.Event) -> None:
        self.job, self.settings = job, settings
        self.version_id = int(job.payload["version_id"])
        self._database, self._stop = database, stop

    def check(self) -> None:
        """Raise Stopped once the worker is to stop."""
        if self._stop.is_set():
            raise Stopped

    def read(self, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Return `work(session, …)`; waits while the database is away."""
        return patiently(self._database.read, work, *args, **options)

    def write(self, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Do `work(session, …)` in one transaction and return its result; waits while the database is away."""
        return patiently(self._database.write, work, *args, **options)

    def folder(self, version: DatasetVersion) -> Path:
        """Return where the version's export is, or will be."""
        return self.settings.data_dir / "datasets" / version.dataset / f"v{version.number}"

    def pages(self, spans: list[Span], fetch: Callable[[Stretch], Page | None]) -> Iterator[Page]:
        """Yield all pages of all batches, one in memory at a time."""
        for span in spans:
            after: Key | None = None
            while stretch := self.read(curation.stretch, span, after=after, limit=PAGE_ROWS):
                self.check()
                if page := fetch(stretch):
                    yield page
                after = stretch.until

    def prompts(self, spans: list[Span]) -> Iterator[list[tuple[int, str]]]:
        """Yield all prompts of all batches, with their text."""
        for span in spans:
            for first in range(span.first, span.last + 1, PAGE_ROWS):
                self.check()
                last = min(first + PAGE_ROWS - 1, span.last)
                found = self.read(curation.prompts, span, first, last)
                yield [(prompt_id, text_of(asked.messages)) for prompt_id, asked in sorted(found.items())]

    def ledger(self, spans: list[Span], reviews: Reviews) -> Iterator[LedgerPage]:
        """Yield the finished ledger in order, with the text as it was judged."""

        def fetch(stretch: Stretch) -> LedgerPage | None:
            return self.read(ledger.page, self.version_id, stretch)

        return map(reviews.edited_page, self.pages(spans, fetch))
