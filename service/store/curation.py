"""Curation: reading traces in order as samples, keeping the ledger, sealing a version."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from filters.sample import Sample
from service.models import Batch, DatasetVersion, Job, Prompt, Review, Teacher, Trace, VerdictRow, VersionState
from service.store import events, queue
from service.store.database import insert_new


class Span(NamedTuple):
    """The prompts of one batch, by id; prompts of other batches may lie between them."""

    batch_id: str
    first: int
    last: int


PERSON = "person"
"""Stands in the ledger as filter, and as the reason of a rejection, where a person decided."""
Key = tuple[int, str, int]
"""Prompt id, teacher and sample index: the order in which samples are judged, and the place to read on from."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the ledger with its sample, as the export writes it."""

    sample: Sample
    batch_id: str
    outcome: str
    filter: str
    reason: str
    detail: str
    evidence: dict[str, Any] | None
    split: str


def get(session: Session, version_id: int) -> DatasetVersion:
    """Return a version; KeyError when it is gone."""
    version = session.get(DatasetVersion, version_id)
    if version is None:
        raise KeyError(f"there is no dataset version with the id {version_id}")
    return version


def batches_of(session: Session, version: DatasetVersion) -> list[Batch]:
    """Return the version's batches in the order in which their prompts were stored."""
    return [found for span in spans(session, version.batches) if (found := session.get(Batch, span.batch_id))]


def spans(session: Session, batch_ids: Sequence[str]) -> list[Span]:
    """Return where the prompts of each batch lie, the oldest batch first; batches without a prompt are left out."""
    query = (
        select(Prompt.batch_id, func.min(Prompt.id), func.max(Prompt.id))  # pyright: ignore[reportCallIssue, reportArgumentType]
        .where(col(Prompt.batch_id).in_(batch_ids))
        .group_by(col(Prompt.batch_id))
    )
    return sorted((Span(*row) for row in session.connection().execute(query)), key=lambda span: (span.first, span.last))


def size(session: Session, batch_ids: Sequence[str]) -> int:
    """Return how many traces the batches hold."""
    query = select(func.count()).select_from(Trace).where(col(Trace.batch_id).in_(batch_ids))
    return session.scalar(query) or 0


def teachers(session: Session) -> dict[str, Teacher]:
    """Return all teachers by name."""
    return {teacher.name: teacher for teacher in session.scalars(select(Teacher))}


def reviews(session: Session, batch_ids: Sequence[str]) -> dict[int, Review]:
    """Return the newest review of each trace of the batches that a person looked at."""
    query = (
        select(Review)
        .join(Trace, col(Trace.id) == col(Review.trace_id))
        # An expression, not the bare column: there are few reviews and many traces, so start from the reviews.
        .where(col(Trace.batch_id).concat("").in_(batch_ids))
        .order_by(col(Review.id))
    )
    return {review.trace_id: review for review in session.scalars(query)}


_OTHER = aliased(Trace)
_SAMPLE: dict[str, Any] = {
    "id": Trace.id,
    "prompt_id": Trace.prompt_id,
    "messages": Prompt.messages,
    "response": Trace.response,
    "reasoning": Trace.reasoning,
    "finish_reason": Trace.finish_reason,
    "prompt_tokens": Trace.prompt_tokens,
    "completion_tokens": Trace.completion_tokens,
    "sample_index": Trace.sample_index,
    "teacher": Trace.teacher,
    "teacher_license": func.coalesce(Teacher.license, ""),
    "reference": Prompt.reference,
    "verifier": Prompt.verifier,
    "category": Prompt.category,
    "source": Prompt.source,
    "license": Prompt.license,
    "tries": select(func.count()).where(col(_OTHER.prompt_id) == col(Trace.prompt_id)).scalar_subquery(),
}
COLUMNS = tuple(_SAMPLE[field.name] for field in fields(Sample))
"""In the order of a Sample's fields: a row is one as it stands."""
_LEDGER: tuple[Any, ...] = (
    VerdictRow.outcome,
    VerdictRow.filter,
    VerdictRow.reason,
    VerdictRow.detail,
    VerdictRow.evidence,
    VerdictRow.split,
)


def page(session: Session, span: Span, *, after: Key | None, limit: int) -> list[Sample]:
    """Return up to `limit` samples of a batch after the place `after`, in the order of `Key`."""
    query = ordered(select(*COLUMNS), span, after, limit)
    return [Sample(*row) for row in session.connection().execute(query).all()]


def ledger_page(session: Session, version_id: int, span: Span, *, after: Key | None, limit: int) -> list[Entry]:
    """Return up to `limit` judged samples of a batch after the place `after`, in the order of `Key`."""
    query = of_version(ordered(select(*COLUMNS, *_LEDGER), span, after, limit), version_id)
    width = len(COLUMNS)
    rows = session.connection().execute(query).all()
    return [Entry(Sample(*row[:width]), span.batch_id, *row[width:]) for row in rows]


def of_version(query: Any, version_id: int) -> Any:
    """Return the query with the verdict of one version beside each trace."""
    # Again an expression: SQLite would rather read the whole version and sort it, for every page.
    mine = (col(VerdictRow.trace_id) == col(Trace.id)) & (col(VerdictRow.version_id) + 0 == version_id)
    return query.join(VerdictRow, mine)


def ordered(query: Any, span: Span, after: Key | None, limit: int) -> Any:
    """Return the query for up to `limit` traces of a batch after the place `after`, in the order of `Key`."""
    place = (col(Trace.prompt_id), col(Trace.teacher), col(Trace.sample_index))
    query = (
        query.select_from(Trace)
        .join(Prompt, col(Prompt.id) == col(Trace.prompt_id))
        .outerjoin(Teacher, col(Teacher.name) == col(Trace.teacher))
        # An expression, not the bare column: by the batch's index the database would sort a whole batch for each page.
        .where(col(Trace.batch_id).concat("") == span.batch_id)
        .where(col(Trace.prompt_id).between(after[0] if after else span.first, span.last))
        .order_by(*place)
        .limit(limit)
    )
    return query.where(tuple_(*place) > after) if after else query


def begin(session: Session, job: Job, version_id: int, *, total: int, lease_s: float, chunk: int) -> bool:
    """Take a version up from the start: delete a chunk of the ledger that an earlier attempt left unfinished.

    Returns whether nothing is left of it; call it again until then. Raises LeaseLost.
    """
    queue.keep(session, job, lease_s=lease_s, total=total - job.total, stored=-job.stored)
    job.total, job.stored = total, 0
    some = select(VerdictRow.id).where(col(VerdictRow.version_id) == version_id).limit(chunk)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return session.connection().execute(delete(VerdictRow).where(col(VerdictRow.id).in_(some))).rowcount < chunk


def add(session: Session, job: Job, rows: Sequence[dict[str, Any]], *, lease_s: float, done: int | None) -> None:
    """Write verdicts to the ledger; with `done`, tell those who follow how many rows are judged. Raises LeaseLost."""
    queue.keep(session, job, lease_s=lease_s, stored=len(rows))
    insert_new(session, VerdictRow, rows)
    if done is not None:
        events.emit(session, "version.progress", job.subject, done=done, total=job.total)


def seal(session: Session, job: Job, version_id: int, values: dict[str, Any]) -> None:
    """End a curation well: from now on the version never changes. Raises LeaseLost."""
    queue.finish(session, job)
    version = get(session, version_id)
    version.sqlmodel_update(values | {"state": VersionState.SEALED, "sealed_at": time.time()})
    session.add(version)
    told = {name: values[name] for name in ("input", "kept", "sha256")}
    events.emit(session, "version.sealed", job.subject, **told)


def fail(session: Session, job: Job, version_id: int, *, reason: str, detail: str) -> None:
    """End a curation with the reason why there is no version; its ledger stays, up to the trace in question."""
    queue.fail(session, job, reason=reason, detail=detail)
    version = get(session, version_id)
    version.sqlmodel_update({"state": VersionState.FAILED, "reason": reason, "detail": detail})
    session.add(version)
    events.emit(session, "version.failed", job.subject, reason=reason, detail=detail)


def answered(
    session: Session, span: Span, *, after: int, limit: int
) -> list[tuple[Prompt, list[tuple[str, str, str, str]]]]:
    """Return up to `limit` prompts of a batch with ids above `after`, unjudged: all their answers, and none filtered.

    An answer is teacher, response, reasoning, finish reason; a prompt without any is there too.
    """
    prompts = session.scalars(
        select(Prompt)
        .where(
            col(Prompt.id).between(max(span.first, after + 1), span.last),
            col(Prompt.batch_id).concat("") == span.batch_id,
        )
        .order_by(col(Prompt.id))
        .limit(limit)
    ).all()
    if not prompts:
        return []
    query = (
        select(Trace.prompt_id, Trace.teacher, Trace.response, Trace.reasoning, Trace.finish_reason)  # pyright: ignore[reportCallIssue, reportArgumentType]
        .where(col(Trace.prompt_id).between(prompts[0].id, prompts[-1].id))
        .order_by(col(Trace.prompt_id), col(Trace.teacher), col(Trace.sample_index))
    )
    answers: dict[int, list[tuple[str, str, str, str]]] = {}
    for prompt_id, *answer in session.connection().execute(query):
        answers.setdefault(prompt_id, []).append((answer[0], answer[1], answer[2], answer[3]))
    return [(prompt, answers.get(prompt.id or 0, [])) for prompt in prompts]
