"""Files of the OpenAI door: uploaded ones, and the lines of those that are views of a batch."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert, literal, update
from sqlalchemy import select as sa_select
from sqlalchemy.orm import aliased
from sqlmodel import Session, and_, col, func, or_, select

from service.errors import NotFound
from service.models import Batch, BatchState, Failure, Job, Prompt, Trace
from service.models.batches import ENDED
from service.models.files import File, Purpose
from service.soft_labels import TopK
from service.store import soft_labels


def get(session: Session, file_id: str) -> File:
    """Return an uploaded file; NotFound where there is none or no longer one."""
    file = session.get(File, file_id)
    if file is None or file.deleted_at is not None:
        raise NotFound(f"no file has the id '{file_id}'" + ("; it was deleted" if file else ""))
    return file


def page(session: Session, *, purpose: str | None, after: str | None, limit: int, descending: bool) -> Sequence[File]:
    """Return up to `limit` uploaded files by time, beyond `after`."""
    query = select(File).where(col(File.deleted_at).is_(None), *([File.purpose == purpose] if purpose else []))
    if after:
        edge = session.get(File, after)
        if edge is None:
            raise NotFound(f"no file has the id '{after}'")
        place, at = (col(File.created_at), col(File.id)), (edge.created_at, edge.id)
        first = place[0] < at[0] if descending else place[0] > at[0]
        second = place[1] < at[1] if descending else place[1] > at[1]
        query = query.where(or_(first, and_(place[0] == at[0], second)))
    order = [column.desc() if descending else column.asc() for column in (col(File.created_at), col(File.id))]
    return session.exec(query.order_by(*order).limit(limit)).all()


def needed_by(session: Session, file_id: str) -> str | None:
    """Return the id of a batch that is being worked on and was made of this file."""
    query = select(Batch.id).where(Batch.input_file_id == file_id, col(Batch.state).not_in(ENDED))
    return session.exec(query).first()


def delete(session: Session, file: File) -> None:
    """Mark a file as deleted; the row of an output file is made for it."""
    file.deleted_at = time.time()
    session.add(file)


def batch_of(session: Session, file_id: str, batch_id: str) -> Batch:
    """Return the batch that an output file shows; NotFound where there is none, or the file was deleted."""
    batch = session.get(Batch, batch_id)
    if batch is None or batch.input_file_id is None or session.get(File, file_id) is not None:
        raise NotFound(f"no file has the id '{file_id}'")
    return batch


def delete_output(session: Session, file_id: str, filename: str) -> None:
    """Note that an output file was deleted; what it showed stays."""
    row = File(id=file_id, purpose=Purpose.BATCH_OUTPUT, filename=filename, size_bytes=0, sha256="")
    delete(session, row)


def openai_batches(session: Session, *, after: Batch | None, limit: int) -> Sequence[Batch]:
    """Return up to `limit` batches that were made of an uploaded file, newest first, below `after`."""
    place = (col(Batch.created_at), col(Batch.id))
    query = select(Batch).where(col(Batch.input_file_id).is_not(None))
    if after:
        older = or_(place[0] < after.created_at, and_(place[0] == after.created_at, place[1] < after.id))
        query = query.where(older)
    return session.exec(query.order_by(place[0].desc(), place[1].desc()).limit(limit)).all()


BROKEN_OFF = (BatchState.CANCELLED, BatchState.EXPIRED)


def broken_off(session: Session, file: File) -> Batch | None:
    """Return the batch that another one of this file goes on with: the newest of the same content, if it ended early.

    After one that was completed, the same file again is a wish for other answers.
    """
    same = select(Batch).join(File, col(File.id) == col(Batch.input_file_id)).where(File.sha256 == file.sha256)
    newest = session.exec(same.order_by(col(Batch.created_at).desc(), col(Batch.id).desc()).limit(1)).first()
    return newest if newest is not None and newest.state in BROKEN_OFF else None


def take_over(session: Session, batch: Batch) -> None:
    """Copy the answers of the batch that this one continues, by `custom_id`, and count them as stored in its shards.

    Both are made of the same lines, so the same `custom_id` is the same request. The traces are new rows with the old
    ones' texts and times; the tokens that they cost stay with the batch that spent them.
    """
    table = Trace.__table__  # pyright: ignore[reportAttributeAccessIssue]
    kept = [column for column in table.columns if column.name not in {"id", "batch_id", "prompt_id"}]
    old, new = aliased(Prompt), aliased(Prompt)
    answered = (
        sa_select(literal(batch.id), new.id, *kept)  # pyright: ignore[reportCallIssue, reportArgumentType]
        .join(old, col(old.id) == table.c.prompt_id)
        .join(new, and_(col(new.key) == col(old.key), col(new.batch_id) == batch.id))
        .where(table.c.batch_id == batch.continues, table.c.parent_id.is_(None))
    )
    names = ["batch_id", "prompt_id", *(column.name for column in kept)]
    session.connection().execute(insert(table).from_select(names, answered))
    mine = and_(table.c.batch_id == batch.id, table.c.teacher == Job.teacher)
    in_span = table.c.prompt_id.between(Job.first_prompt, Job.last_prompt)
    stored = sa_select(func.count()).select_from(table).where(mine, in_span).scalar_subquery()
    session.connection().execute(update(Job).where(col(Job.subject) == batch.id).values(stored=stored))


def line_counts(session: Session, batch: Batch, found: dict[str, int]) -> tuple[int, int]:
    """Return how many lines of a batch are answered in full, and how many cannot be any more.

    `found` are the batch's counts of answers; where each line asks for one, they are the counts of lines too.
    """
    if found["total"] == batch.prompts:
        return found["stored"], found["failed"]
    answers = select(func.count()).where(Trace.prompt_id == Prompt.id).scalar_subquery()
    query = select(func.count()).where(Prompt.batch_id == batch.id, answers >= func.coalesce(Prompt.n, batch.n))
    failed = select(func.count(func.distinct(Failure.prompt_id))).where(Failure.batch_id == batch.id)
    return session.exec(query).one(), session.exec(failed).one()


@dataclass(slots=True)
class Line:
    """A line of a batch file with what became of it: `n` traces when it is answered, else perhaps failures.

    A trace is a row with those columns that a chat completion is made of.
    """

    prompt_id: int
    custom_id: str
    teacher: str
    n: int
    traces: list[Any] = field(default_factory=list)
    labels: dict[int, TopK] = field(default_factory=dict)
    """Soft labels that came with an answer, by trace; those of other lines too."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Reason and detail."""


ANSWERS_AT_ONCE = 256
"""Answers read in one query of a file that is being sent: what sending it costs in memory."""

_ANSWER: tuple[Any, ...] = (
    *(Trace.id, Trace.prompt_id, Trace.reasoning, Trace.response, Trace.finish_reason, Trace.raw, Trace.created_at),
    *(Trace.prompt_tokens, Trace.completion_tokens, Trace.reasoning_tokens),
)


def lines(session: Session, batch: Batch, *, after: int) -> list[Line]:
    """Return the batch's next lines after the prompt `after`, in the order in which they stand in the input file."""
    query = (
        select(Prompt.id, Prompt.key, Prompt.teacher, Prompt.n)
        .where(Prompt.batch_id == batch.id, col(Prompt.id) > after)
        .order_by(col(Prompt.id))
        .limit(ANSWERS_AT_ONCE)
    )
    found: dict[int, Line] = {}
    answers = 0
    for prompt_id, key, teacher, n in session.exec(query).all():
        line = Line(prompt_id or 0, key, teacher or batch.teachers[0], n or batch.n)
        answers += line.n
        if found and answers > ANSWERS_AT_ONCE:
            break
        found[line.prompt_id] = line
    ids = list(found)
    # Columns, not objects: making those would cost more than all the rest of sending a line.
    traces = sa_select(*_ANSWER).where(col(Trace.prompt_id).in_(ids), col(Trace.parent_id).is_(None))
    for row in session.connection().execute(traces.order_by(col(Trace.prompt_id), col(Trace.sample_index))):
        found[row.prompt_id].traces.append(row)
    labels = soft_labels.of_answers(session, [row.id for line in found.values() for row in line.traces])
    for line in found.values():
        line.labels = labels
    failures = select(Failure.prompt_id, Failure.reason, Failure.detail).where(col(Failure.prompt_id).in_(ids))
    for prompt_id, reason, detail in session.exec(failures.order_by(col(Failure.prompt_id), col(Failure.sample_index))):
        found[prompt_id].failures.append((reason, detail))
    return list(found.values())
