"""Curation: reading traces in order as samples, sealing a version."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import func, select, tuple_
from sqlmodel import Session, col

from filters.sample import Sample
from service.models import Batch, DatasetVersion, Job, Prompt, Review, Teacher, Trace, VersionState
from service.store import events, queue


class Span(NamedTuple):
    """The prompts of one batch, by id; prompts of other batches may lie between them."""

    batch_id: str
    first: int
    last: int


PERSON = "person"
"""Stands in the ledger as filter, and as the reason of a rejection, where a person decided."""
Key = tuple[int, str, int]
"""Prompt id, teacher and sample index: the order in which samples are judged, and the place to read on from."""


class Stretch(NamedTuple):
    """The traces of a batch behind the place `after`, or from its first on, up to `until`."""

    span: Span
    after: Key | None
    until: Key


class Asked(NamedTuple):
    """A prompt, with what its submitter said of it."""

    messages: list[dict[str, Any]]
    reference: str | None
    verifier: str | None
    category: str
    source: str
    license: str
    meta: dict[str, Any] | None


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
    """Return the newest review of each trace of the batches that a person decided about."""
    query = (
        select(Review)
        .join(Trace, col(Trace.id) == col(Review.trace_id))
        # An expression, not the bare column: there are few reviews and many traces, so start from the reviews.
        .where(col(Trace.batch_id).concat("").in_(batch_ids))
        .order_by(col(Review.id))
    )
    newest = {review.trace_id: review for review in session.scalars(query)}
    return {trace_id: review for trace_id, review in newest.items() if review.outcome}


_PLACE = col(Trace.prompt_id), col(Trace.teacher), col(Trace.sample_index)
"""The columns of a `Key`."""
TEXTS = (Trace.response, Trace.reasoning)
TRACE: tuple[Any, ...] = (
    Trace.id,
    Trace.prompt_id,
    Trace.teacher,
    Trace.sample_index,
    Trace.finish_reason,
    Trace.prompt_tokens,
    Trace.completion_tokens,
    Trace.rewriter,
    *TEXTS,
)
"""What is read of each trace, and in which order."""


def stretch(session: Session, span: Span, *, after: Key | None, limit: int) -> Stretch | None:
    """Return the next stretch of a batch, None behind its end; of `limit` traces, those of other batches included.

    The index alone is read for it. Whatever else is asked of the traces has two ends then: with one end and a limit,
    Postgres would rather read whole tables, for every page.
    """
    keys = select(*_PLACE).where(_PLACE[0].between(after[0] if after else span.first, span.last))
    if after:
        keys = keys.where(tuple_(*_PLACE) > after)
    some = keys.order_by(*_PLACE).limit(limit).subquery()
    last = session.connection().execute(select(some).order_by(*(column.desc() for column in some.c)).limit(1)).first()
    return Stretch(span, after, (last[0], last[1], last[2])) if last else None


def page(session: Session, stretch: Stretch) -> list[Sample]:
    """Return the samples of a stretch, in the order of `Key`."""
    rows = session.connection().execute(ordered(select(*TRACE), stretch)).all()
    return samples(session, stretch.span, rows)


def samples(session: Session, span: Span, rows: Sequence[Sequence[Any]]) -> list[Sample]:
    """Return rows of one batch that begin with the columns `TRACE` as samples, in their order."""
    if not rows:
        return []
    first, last = rows[0][1], rows[-1][1]
    asked = prompts(session, span, first, last)
    tries = _tries(session, first, last)
    licences = {name: teacher.license or "" for name, teacher in teachers(session).items()}
    return [
        Sample(
            id=trace_id,
            prompt_id=prompt_id,
            messages=(prompt := asked[prompt_id]).messages,
            response=response,
            reasoning=reasoning,
            finish_reason=finish_reason,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            sample_index=sample_index,
            teacher=teacher,
            teacher_license=licences.get(teacher, ""),
            rewriter=rewriter or "",
            rewriter_license=licences.get(rewriter, ""),
            reference=prompt.reference,
            verifier=prompt.verifier,
            category=prompt.category,
            source=prompt.source,
            license=prompt.license,
            tries=tries[prompt_id],
        )
        for (
            trace_id,
            prompt_id,
            teacher,
            sample_index,
            finish_reason,
            prompt_tokens,
            completion_tokens,
            rewriter,
            response,
            reasoning,
            *_,
        ) in rows
    ]


def prompts(session: Session, span: Span, first: int, last: int) -> dict[int, Asked]:
    """Return the prompts of a batch with ids from `first` to `last`: read once, however many answers they have."""
    query = select(Prompt.id, *(getattr(Prompt, name) for name in Asked._fields)).where(  # pyright: ignore[reportCallIssue, reportArgumentType]
        col(Prompt.id).between(first, last), col(Prompt.batch_id).concat("") == span.batch_id
    )
    return {prompt_id: Asked(*asked) for prompt_id, *asked in session.connection().execute(query).all()}


def _tries(session: Session, first: int, last: int) -> dict[int, int]:
    query = (
        select(Trace.prompt_id, func.count())  # pyright: ignore[reportCallIssue, reportArgumentType]
        .where(col(Trace.prompt_id).between(first, last))
        .group_by(col(Trace.prompt_id))
    )
    counted: Any = session.connection().execute(query).all()
    return {prompt_id: count for prompt_id, count in counted}


def ordered(query: Any, stretch: Stretch) -> Any:
    """Return the query for the traces of a stretch, in the order of `Key`."""
    span, after, until = stretch
    query = (
        query.select_from(Trace)
        # An expression, not the bare column: by the batch's index the database would sort a whole batch for each page.
        .where(col(Trace.batch_id).concat("") == span.batch_id)
        .where(_PLACE[0].between(after[0] if after else span.first, until[0]), tuple_(*_PLACE) <= until)
        .order_by(*_PLACE)
    )
    return query.where(tuple_(*_PLACE) > after) if after else query


def judged(session: Session, job: Job, version_id: int, *, lease_s: float, **values: Any) -> None:
    """Note that the ledger is whole: a later attempt goes on from here. Raises LeaseLost.

    `values` are the version's `funnel`, `near_prompts`, and `inputs_sha256`: empty where some came meanwhile.
    """
    queue.keep(session, job, lease_s=lease_s)
    version = get(session, version_id)
    version.sqlmodel_update(values)
    session.add(version)


def seal(session: Session, job: Job, version_id: int, values: dict[str, Any]) -> None:
    """End a curation well: from now on the version never changes. Raises LeaseLost."""
    queue.finish(session, job)
    version = get(session, version_id)
    version.sqlmodel_update(values | {"state": VersionState.SEALED, "sealed_at": time.time()})
    session.add(version)
    told = {name: values[name] for name in ("input", "kept", "sha256")}
    events.emit(session, "version.sealed", job.subject, **told)


def rebuilt(session: Session, job: Job, *, reason: str = "", detail: str = "") -> None:
    """End a rebuilding, with the reason where the ledger gave other rows; the version itself stays as it is."""
    if reason:
        queue.fail(session, job, reason=reason, detail=detail)
        events.emit(session, "version.rebuild_failed", job.subject, reason=reason, detail=detail)
    else:
        queue.finish(session, job)
        events.emit(session, "version.rebuilt", job.subject)


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
