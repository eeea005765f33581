"""Two versions beside each other: what came in, what went, what changed its split, and why; the database compares."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from service.changes import NOT_JUDGED, Change
from service.models import Prompt, Trace, VerdictRow, VersionDiff
from service.store.database import insert_new

KEEP = "keep"


class Line(NamedTuple):
    """Changes of one kind. Filter and reason are of the version that does not keep the rows, empty where both do."""

    change: Change
    filter: str
    reason: str
    split_before: str | None
    """None where it was not kept."""
    split_now: str | None


# One version's kept rows are read along their index, and the verdict of the other version is looked up for each.
_ONE, _OTHER = aliased(VerdictRow), aliased(VerdictRow)
_REASON, _FILTER = func.coalesce(_OTHER.reason, NOT_JUDGED), func.coalesce(_OTHER.filter, "")
_NOT_KEPT = or_(col(_OTHER.id).is_(None), col(_OTHER.outcome) != KEEP)
_ELSEWHERE = and_(col(_OTHER.outcome) == KEEP, col(_OTHER.split) != col(_ONE.split))


Counted = tuple[int, list[tuple[Line, int]]]
"""How many rows two versions keep alike, and how many changed in which way; the most come first."""


def known(session: Session, before: int, now: int) -> Counted | None:
    """Return what was counted of two sealed versions; None where nobody has counted yet."""
    found = session.get(VersionDiff, (before, now))
    if found is None:
        return None
    return found.unchanged, [(Line(Change(change), *rest), rows) for change, *rest, rows in found.lines]


def keep(session: Session, before: int, now: int, counted: Counted) -> None:
    """Keep what was counted of two versions that never change again."""
    unchanged, lines = counted
    row = {"before_id": before, "now_id": now, "unchanged": unchanged}
    insert_new(session, VersionDiff, [row | {"lines": [[*line, rows] for line, rows in lines]}])


def counts(session: Session, before: int, now: int) -> Counted:
    """Count what two versions (by id) differ in: a pass over the rows that each keeps, 4 s a million of them."""
    columns = (_OTHER.outcome, _FILTER, _REASON, _ONE.split, _OTHER.split)
    query = select(*columns, func.count()).group_by(*columns)  # pyright: ignore[reportCallIssue, reportArgumentType]
    alike, changed = 0, Counter[Line]()
    found: Any = session.connection().execute(_beside(query, before, now))
    for outcome, kind, reason, was, is_, rows in found:
        if outcome != KEEP:
            changed[Line(Change.REMOVED, kind, reason, was, None)] += rows
        elif was == is_:
            alike += rows
        else:
            changed[Line(Change.MOVED, "", "", was, is_)] += rows
    found = session.connection().execute(_beside(query.where(_NOT_KEPT), now, before))
    for _, kind, reason, is_, _, rows in found:
        changed[Line(Change.ADDED, kind, reason, None, is_)] += rows
    return alike, sorted(changed.items(), key=lambda item: (-item[1], item[0][:3]))


def page(
    session: Session, before: int, now: int, change: Change, wanted: dict[str, str | None], *, after: int, limit: int
) -> Sequence[dict[str, Any]]:
    """Return up to `limit` rows that changed so, with trace ids above `after`: whose they are, and what was said.

    `wanted` narrows by `filter` and `reason` of the version that does not keep them.
    """
    one, other = (now, before) if change is Change.ADDED else (before, now)
    about = (_ONE.trace_id, Trace.prompt_id, Trace.batch_id, Prompt.category, _ONE.split, _OTHER.split)
    query = select(*about, _FILTER, _REASON, func.coalesce(_OTHER.detail, ""))  # pyright: ignore[reportCallIssue, reportArgumentType]
    query = (
        _beside(query, one, other)
        .join(Trace, col(Trace.id) == col(_ONE.trace_id))
        .join(Prompt, col(Prompt.id) == col(Trace.prompt_id))
        .where(col(_ONE.trace_id) > after, _ELSEWHERE if change is Change.MOVED else _NOT_KEPT)
        .order_by(col(_ONE.trace_id))
        .limit(limit)
    )
    for column, name in ((_FILTER, "filter"), (_REASON, "reason")):
        if wanted.get(name) is not None:
            query = query.where(column == wanted[name])
    rows: list[dict[str, Any]] = []
    found: Any = session.connection().execute(query)
    for trace, prompt_id, batch, category, mine, theirs, *why in found:
        was = None if change is Change.ADDED else mine
        is_ = mine if change is Change.ADDED else theirs if change is Change.MOVED else None
        said = ("", "", "") if change is Change.MOVED else why
        line = Line(change, said[0], said[1], was, is_)._asdict()
        rows.append(
            line | {"trace": trace, "prompt_id": prompt_id, "batch": batch, "category": category, "detail": said[2]}
        )
    return rows


def _beside(query: Any, one: int, other: int) -> Any:
    """Return the query over what version `one` keeps, with the verdict of version `other` where it has any."""
    theirs = and_(col(_OTHER.trace_id) == col(_ONE.trace_id), col(_OTHER.version_id) == other)
    return query.select_from(_ONE).outerjoin(_OTHER, theirs).where(col(_ONE.version_id) == one, _ONE.outcome == KEEP)
