"""Teachers: who answers, how they are, how much they wrote."""

from fastapi import APIRouter, Response

from service.api.deps import DatabaseDep
from service.pages.advice import advice
from service.pages.rendering import page
from service.store import overview, stats, teachers

router = APIRouter(prefix="/teachers", include_in_schema=False)


@router.get("")
def listed(database: DatabaseDep) -> Response:
    """List all teachers with their health, their output and what waits for them."""
    with database.read() as session:
        found = teachers.every(session)
        answers = stats.answers_by_teacher(session)
        waits = overview.waits(session)
    waiting = {name: [wait for wait in waits if wait.teacher == name] for name in (teacher.name for teacher in found)}
    return page("teachers.html", teachers=found, answers=answers, waiting=waiting, advice=advice)
