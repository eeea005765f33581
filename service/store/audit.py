"""The audit in the database: rows are added and read, nothing else."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlmodel import Session, col, select

from service.acts import Act
from service.caller import Caller
from service.models import Audit


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows; None is any."""

    act: Act | None = None
    who: str | None = None
    subject: str | None = None


def record(session: Session, caller: Caller, act: Act, subject: str, /, **detail: Any) -> None:
    """Add a row; it stands if the act itself is committed, and only then."""
    row = Audit(act=act, subject=subject, who=caller.name, key_id=caller.key_id, address=caller.address, detail=detail)
    session.add(row)


def refused(session: Session, act: Act, address: str, /, **detail: Any) -> None:
    """Add a row about a key that opened nothing: nobody is known to have held it."""
    session.add(Audit(act=act, subject=address, who="", address=address, detail=detail))


def page(session: Session, wanted: AuditFilter, *, after: int, limit: int) -> Sequence[Audit]:
    """Return rows, the newest first, below the id `after`; 0 begins with the newest."""
    query = select(Audit).order_by(col(Audit.id).desc()).limit(limit)
    if after:
        query = query.where(col(Audit.id) < after)
    for name, value in asdict(wanted).items():
        if value is not None:
            query = query.where(col(getattr(Audit, name)) == value)
    return session.exec(query).all()
