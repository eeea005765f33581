"""Traces: finding them, and reading one."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Row, and_, func, select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from service.errors import NotFound
from service.models import Prompt, Tag, Teacher, Trace, VerdictRow
from service.store import datasets, search
from service.store.database import on_sqlite

RARE_ROWS = 1_000
"""What so few rows have is looked up; what more of them have is met often enough while going through the traces."""


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """What to look for; None means anything. `outcome` and `reason` speak of `version`, else of the newest verdict.

    `q` are words that prompt, response or reasoning have, as `service.store.search` reads them.
    """

    batch: str | None = None
    teacher: str | None = None
    category: str | None = None
    outcome: str | None = None
    reason: str | None = None
    version: str | None = None
    q: str | None = None
    tag: str | None = None

    def asked(self) -> dict[str, str]:
        """Return what it narrows to, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def said(form: TraceFilter) -> TraceFilter:
    """Return the filter without what is empty: a form sends every field, those too that nobody filled in."""
    return TraceFilter(**{name: value for name, value in form.asked().items() if value})


def page(
    session: Session, wanted: TraceFilter, *, after: int = 0, before: int | None = None, limit: int
) -> Sequence[Row[tuple[Trace, Prompt, VerdictRow]]]:
    """Return up to `limit` traces by id, each with its prompt and verdict (None when never judged).

    They are those that follow `after`, or with `before` those that stand right before it.
    """
    version_id: Any = _newest_version()
    if wanted.version:
        version_id = datasets.named(session, wanted.version).id
    of_version = datasets.version_beside_a_reason(session) if wanted.reason is not None else col(VerdictRow.version_id)
    verdict = and_(col(VerdictRow.trace_id) == Trace.id, of_version == version_id)
    query = (
        select(Trace, Prompt, VerdictRow)  # pyright: ignore[reportCallIssue, reportArgumentType]
        .join(Prompt, col(Prompt.id) == Trace.prompt_id)
        .outerjoin(VerdictRow, verdict)
        .where(*_conditions(session, wanted))
    )
    # The column by whose index the rows come in their order: whatever is asked, a page ends with its last row.
    by_version = wanted.version is not None and wanted.outcome is not None and wanted.batch is None
    by_verdict = wanted.reason is not None or by_version
    place: Any = col(VerdictRow.trace_id) if by_verdict else col(Trace.id)
    if wanted.tag is not None:
        query, place = query.join(Tag, col(Tag.trace_id) == place).where(col(Tag.name) == wanted.tag), col(Tag.trace_id)
    if wanted.q is not None:
        narrow = (wanted.batch, wanted.teacher, wanted.category)
        query, place = search.narrowed(session, query, place, wanted.q, filter(None, narrow))
    if not on_sqlite(session) and place is not col(Trace.id):
        # Of two equal columns Postgres knows a bound of the one alone, and reads the other from its beginning.
        query = query.where(col(Trace.id) > after if before is None else col(Trace.id) < before)
    if before is None:
        return session.execute(query.where(place > after).order_by(place).limit(limit)).all()  # pyright: ignore[reportDeprecated]
    return session.execute(query.where(place < before).order_by(place.desc()).limit(limit)).all()[::-1]  # pyright: ignore[reportDeprecated]


def _newest_version() -> Any:
    """Select the newest version that judged a trace of the query around it."""
    other = aliased(VerdictRow)
    newest = select(func.max(col(other.version_id))).where(col(other.trace_id) == col(Trace.id))
    return newest.correlate(Trace).scalar_subquery()


def _conditions(session: Session, wanted: TraceFilter) -> list[Any]:
    # Something else leads to the traces then, in the order of their ids. Expressions, not bare columns, wherever the
    # index of a column would give all its rows first, only to sort them for each page.
    led = any(value is not None for value in (wanted.reason, wanted.tag, wanted.q))
    by_batch = not led or _is_rare(session, Trace.batch_id, wanted.batch)
    by_teacher = not (led or wanted.batch) or _is_rare(session, Trace.teacher, wanted.teacher)
    by_category = not (led or wanted.batch or wanted.teacher) and _is_rare(session, Prompt.category, wanted.category)
    exact = (
        (col(Trace.batch_id) if by_batch else col(Trace.batch_id).concat(""), wanted.batch),
        (col(Trace.teacher) if by_teacher else col(Trace.teacher).concat(""), wanted.teacher),
        (col(Prompt.category) if by_category else col(Prompt.category).concat(""), wanted.category),
        (col(VerdictRow.outcome), wanted.outcome),
        (col(VerdictRow.reason), wanted.reason),
    )
    return [column == value for column, value in exact if value is not None]


def _is_rare(session: Session, column: Any, value: str | None) -> bool:
    """Whether so few rows have the value that looking them up is the shorter way."""
    if value is None:
        return False
    some = select(column).where(col(column) == value).limit(RARE_ROWS + 1).subquery()
    return (session.scalar(select(func.count()).select_from(some)) or 0) <= RARE_ROWS


def get(session: Session, trace_id: int) -> tuple[Trace, Prompt]:
    """Return one trace with its prompt; NotFound where there is none."""
    trace = session.get(Trace, trace_id)
    prompt = session.get(Prompt, trace.prompt_id) if trace else None
    if trace is None or prompt is None:
        raise NotFound(f"no trace has the id {trace_id}")
    return trace, prompt


def answers(session: Session, prompt_id: int, *, limit: int) -> Sequence[Row[tuple[Trace, Prompt, VerdictRow]]]:
    """Return up to `limit` answers to a prompt with their newest verdicts, by teacher; NotFound where there is none."""
    verdict = and_(col(VerdictRow.trace_id) == Trace.id, col(VerdictRow.version_id) == _newest_version())
    query = (
        select(Trace, Prompt, VerdictRow)  # pyright: ignore[reportCallIssue, reportArgumentType]
        .join(Prompt, col(Prompt.id) == Trace.prompt_id)
        .outerjoin(VerdictRow, verdict)
        .where(col(Trace.prompt_id) == prompt_id)
        .order_by(col(Trace.teacher), col(Trace.sample_index))
        .limit(limit)
    )
    found = session.execute(query).all()  # pyright: ignore[reportDeprecated]
    if not found:
        raise NotFound(f"no answer to a prompt with the id {prompt_id} is stored")
    return found


def answers_count(session: Session, prompt_id: int) -> int:
    """Return how many answers to a prompt are stored."""
    return session.scalar(select(func.count()).select_from(Trace).where(col(Trace.prompt_id) == prompt_id)) or 0


def verdicts(session: Session, trace_id: int) -> list[tuple[VerdictRow, str]]:
    """Return every verdict on a trace, newest first, with the version it belongs to as `NAME@N`."""
    rows = session.scalars(
        select(VerdictRow).where(col(VerdictRow.trace_id) == trace_id).order_by(col(VerdictRow.version_id).desc())
    ).all()
    return [(row, datasets.label(session, row.version_id)) for row in rows]


def licences_of(session: Session, names: Sequence[str]) -> dict[str, str]:
    """Return each teacher's licence by name."""
    rows = session.execute(select(Teacher.name, Teacher.license).where(col(Teacher.name).in_(names)))  # pyright: ignore[reportCallIssue, reportArgumentType, reportDeprecated]
    return {name: licence for name, licence in rows.all()}
