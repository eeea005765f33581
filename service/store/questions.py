"""The replies of a batch that asked for questions."""

from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from service.models import Prompt, Trace


def replies(session: Session, batch_id: str, *, after: int, limit: int) -> list[dict[str, Any]]:
    """Return up to `limit` traces of a batch with ids above `after`, each with what its prompt says of itself."""
    query = (
        select(
            *(col(Trace.id).label("trace"), Trace.teacher, Trace.response, Trace.finish_reason),  # pyright: ignore[reportCallIssue, reportArgumentType]
            *(Prompt.category, Prompt.source, Prompt.license, Prompt.meta),
        )
        .join(Prompt, col(Prompt.id) == Trace.prompt_id)
        .where(col(Trace.batch_id) == batch_id, col(Trace.id) > after, col(Trace.parent_id).is_(None))
        .order_by(col(Trace.id))
        .limit(limit)
    )
    return [dict(row) | {"batch": batch_id} for row in session.connection().execute(query).mappings()]
