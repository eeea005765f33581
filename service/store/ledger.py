"""The ledger: writing a version's verdicts, taking over an earlier version's, reading them by columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from sqlalchemy import Table, Text, bindparam, cast, delete, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from service.models import Job, Trace, VerdictRow
from service.store import events, queue
from service.store.curation import TRACE, Asked, Stretch, ordered, prompts
from service.store.database import insert_new

_TABLE: Table = VerdictRow.__table__  # pyright: ignore[reportAttributeAccessIssue]
_TAKEN_OVER = [column.name for column in _TABLE.c if column.name not in ("id", "version_id")]
_PLAIN = [name for name in _TAKEN_OVER if name not in ("trace_id", "evidence", "abstentions", "notes")]
_ALIKE = ["version_id", *(name for name in _TAKEN_OVER if name != "trace_id")]
ALIKE_MIN = 20
"""So many rows of which only the trace differs are cheaper to write by one statement."""
_SAID: tuple[Any, ...] = (
    VerdictRow.outcome,
    VerdictRow.filter,
    VerdictRow.reason,
    VerdictRow.detail,
    # As it is stored: the export writes it as text again.
    cast(col(VerdictRow.evidence), Text).label("evidence"),
    VerdictRow.split,
)
_NAMES = tuple(column.key for column in (*TRACE, *_SAID))


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """Some rows of the ledger by columns, all of one batch and in the order of `Key`, with the prompts they answer."""

    batch_id: str
    columns: Mapping[str, Sequence[Any]]
    """Those of a trace, and what was said of it: `outcome`, `filter`, `reason`, `detail`, `evidence` (the JSON text or
    None) and `split`."""
    prompts: dict[int, Asked]

    def __len__(self) -> int:
        return len(self.columns["id"])

    def with_column(self, name: str, values: Sequence[Any]) -> "LedgerPage":
        """Return the page with other values in a column."""
        return replace(self, columns={**self.columns, name: values})


def page(session: Session, version_id: int, stretch: Stretch) -> LedgerPage | None:
    """Return the judged traces of a stretch; None where it has none."""
    query = of_version(ordered(select(*TRACE, *_SAID), stretch), version_id)
    found = list(zip(*session.connection().execute(query).all(), strict=True))
    if not found:
        return None
    columns: dict[str, Sequence[Any]] = dict(zip(_NAMES, found, strict=True))
    columns["evidence"] = [None if text == "null" else text for text in columns["evidence"]]
    ids = columns["prompt_id"]
    return LedgerPage(stretch.span.batch_id, columns, prompts(session, stretch.span, ids[0], ids[-1]))


def of_version(query: Any, version_id: int) -> Any:
    """Return the query with the verdict of one version beside each trace."""
    # Again an expression: a database would rather read the whole version and sort it, for every page.
    mine = (col(VerdictRow.trace_id) == col(Trace.id)) & (col(VerdictRow.version_id) + 0 == version_id)
    return query.join(VerdictRow, mine)


def take_over(
    session: Session, job: Job, version_id: int, earlier_id: int, *, before: int, after: int, limit: int, lease_s: float
) -> tuple[int, int] | None:
    """Copy from an earlier version what filters with places below `before` rejected; the text is not even read.

    Looks at up to `limit` rows of that version with traces above `after`. Returns the last trace looked at and how many
    were copied, None when there were none. Raises LeaseLost.
    """
    queue.keep(session, job, lease_s=lease_s)
    theirs = (col(VerdictRow.version_id) == earlier_id) & (col(VerdictRow.trace_id) > after)
    some = select(VerdictRow.trace_id).where(theirs).order_by(col(VerdictRow.trace_id)).limit(limit).subquery()  # pyright: ignore[reportCallIssue, reportArgumentType]
    last = session.scalar(select(func.max(some.c.trace_id)))
    if last is None:
        return None
    rejected = theirs & (col(VerdictRow.trace_id) <= last) & (col(VerdictRow.filter_index) < before)
    rows = select(literal(version_id), *(_TABLE.c[name] for name in _TAKEN_OVER)).where(rejected)
    copy = _insert_from(session.get_bind().dialect.name, ["version_id", *_TAKEN_OVER], rows)
    # Without the option, psycopg's count is thrown away.
    copied = int(session.connection().execute(copy, execution_options={"preserve_rowcount": True}).rowcount)
    queue.keep(session, job, lease_s=lease_s, stored=copied)
    return int(last), copied


def _add_alike(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows that differ in their trace alone: said once, at a third of the price of a row each."""
    given = {f"said_{name}": rows[0][name] for name in _ALIKE}
    statement = _insert_alike(session.get_bind().dialect.name)
    session.connection().execute(statement, given | {"ids": [row["trace_id"] for row in rows]})


@cache
def _insert_alike(dialect: str) -> Any:
    """Return the statement of `_add_alike`; made once, since making it costs more than running it."""
    said = [bindparam(f"said_{name}", type_=_TABLE.c[name].type) for name in _ALIKE]
    ids = bindparam("ids", expanding=True, literal_execute=True)
    found = select(*said, col(Trace.id)).where(col(Trace.id).in_(ids))
    return _insert_from(dialect, [*_ALIKE, "trace_id"], found)


def _insert_from(dialect: str, names: Sequence[str], rows: Any) -> Any:
    """Return the statement that writes what a query finds, passing over what an unheard commit has written already."""
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(_TABLE).from_select(names, rows).on_conflict_do_nothing()


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
    alike: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    others = []
    for row in rows:
        if row["evidence"] is row["abstentions"] is row["notes"] is None:
            alike.setdefault(tuple([row[name] for name in _PLAIN]), []).append(row)
        else:
            others.append(row)
    for group in alike.values():
        if len(group) < ALIKE_MIN:
            others += group
        else:
            _add_alike(session, group)
    insert_new(session, VerdictRow, others)
    if done is not None:
        events.emit(session, "version.progress", job.subject, done=done, total=job.total)
