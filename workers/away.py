"""Putting a job down that asks a teacher: it comes back when the teacher may have."""

import logging

from service.models import Job
from service.store import generation, queue
from service.teachers.protocol import TeacherBusy, TeacherError
from workers.database import AsyncDatabase
from workers.gate import DOWN_MAX_S, DOWN_MIN_S
from workers.generate import TEACHER_DOWN

log = logging.getLogger(__name__)


async def put_back(database: AsyncDatabase, job: Job, away: TeacherError | None) -> None:
    """Put a job back: at once, or where its teacher is `away` or refuses everybody, all of that teacher's for a while.

    Raises LeaseLost.
    """
    if away is None:
        await database.write(queue.put_back, job)
        return
    is_down = isinstance(away, TeacherBusy)
    delay_s = min(DOWN_MAX_S, DOWN_MIN_S * 2.0 ** min(job.attempts, 10)) if is_down else DOWN_MAX_S
    reason = TEACHER_DOWN if is_down else away.reason
    detail = f"teacher '{job.teacher}': {away.detail or away.reason}"
    log.warning("job %s waits %.1f s: %s", job.id, delay_s, detail)
    await database.write(generation.hold_back, job, delay_s=delay_s, reason=reason, detail=detail)
