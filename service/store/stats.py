"""Sums over jobs, for metrics and the front page."""

from sqlmodel import Session, col, func, select

from service.models import Job, JobKind

SUMMED = ("stored", "failed", "prompt_tokens", "completion_tokens", "reasoning_lost")


def jobs_by_state(session: Session) -> dict[tuple[str, str], int]:
    """Return how many jobs there are of each kind in each state."""
    query = select(Job.kind, Job.state, func.count()).group_by(Job.kind, Job.state)
    return {(kind, state): count for kind, state, count in session.exec(query).all()}


def answers_by_teacher(session: Session) -> dict[str, dict[str, int]]:
    """Return the sums of `SUMMED` over each teacher's shards."""
    sums = [func.sum(getattr(Job, name)) for name in SUMMED]
    query = select(col(Job.teacher), *sums).where(Job.kind == JobKind.GENERATE).group_by(col(Job.teacher))
    rows = session.connection().execute(query).all()
    return {row[0]: dict(zip(SUMMED, map(int, row[1:]), strict=True)) for row in rows}
