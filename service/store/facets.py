"""What there is to choose from when looking for traces and versions: short lists, cheap on millions of rows."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlmodel import Session, col

from service.models import DatasetVersion, Prompt

CATEGORIES_MAX = 200


def categories(session: Session, *, limit: int = CATEGORIES_MAX) -> list[str]:
    """Return the categories of all prompts by name, the empty one left out.

    Steps from one to the next in the index: a `distinct` would read every prompt to find a dozen words.
    """
    # An empty string sorts before every other text in both databases.
    first = select(func.min(col(Prompt.category)).label("name")).where(col(Prompt.category) > "")
    steps = first.cte("steps", recursive=True)
    following = (
        select(func.min(col(Prompt.category)))
        .where(col(Prompt.category) > steps.c.name)
        .correlate(steps)
        .scalar_subquery()
    )
    steps = steps.union_all(select(following).where(steps.c.name.is_not(None)))
    found = session.connection().execute(select(steps.c.name).limit(limit))
    return sorted(name for (name,) in found if name is not None)


def versions(session: Session, *, limit: int) -> Sequence[DatasetVersion]:
    """Return the newest dataset versions, whatever their dataset and state."""
    newest = (col(DatasetVersion.created_at).desc(), col(DatasetVersion.id).desc())
    return session.scalars(select(DatasetVersion).order_by(*newest).limit(limit)).all()
