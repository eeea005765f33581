"""Teachers: register, list, probe."""

from typing import Any

from fastapi import APIRouter, Response

from service.access import Admin
from service.acts import Act
from service.api.deps import DatabaseDep, SettingsDep
from service.api.shapes.teachers import Probe, TeacherIn, TeacherOut
from service.errors import Problem
from service.models import Teacher
from service.probe import probe
from service.store import audit, teachers
from service.urls import AddressRefused, check_reachable

router = APIRouter(prefix="/api/teachers", tags=["teachers"])


@router.post("", response_model=TeacherOut, status_code=201)
def register(
    body: TeacherIn, database: DatabaseDep, settings: SettingsDep, response: Response, admin: Admin
) -> Teacher:
    """Register a teacher, or bring the one of that name up to date (200)."""
    for field, address in [("base_url", body.base_url), *(("replicas", each) for each in body.replicas)]:
        try:
            check_reachable(address, settings.networks())
        except AddressRefused as error:
            raise Problem(f"{field}: {error}", [{"field": field, "message": str(error)}]) from error
    with database.write() as session:
        teacher, before = teachers.register(session, body.model_dump())
        changes = teachers.changes(before, teacher)
        if before is None or changes:
            act = Act.TEACHER_ADDED if before is None else Act.TEACHER_CHANGED
            audit.record(session, admin, act, teacher.name, **changes)
    response.status_code = 201 if before is None else 200
    return teacher


@router.get("")
def list_teachers(database: DatabaseDep) -> dict[str, list[TeacherOut]]:
    """List all teachers."""
    with database.read() as session:
        return {"data": [TeacherOut.model_validate(teacher) for teacher in teachers.every(session)]}


@router.get("/{name}", response_model=TeacherOut)
def one(name: str, database: DatabaseDep) -> Teacher:
    """Return one teacher."""
    with database.read() as session:
        return teachers.get(session, name)


@router.post("/{name}/probe", response_model=Probe)
def probe_teacher(name: str, database: DatabaseDep) -> Any:
    """Ask the teacher what it serves; a teacher that is down is an answer (`ok: false`), not an error."""
    with database.read() as session:
        teacher = teachers.get(session, name)
    found = probe(teacher)
    with database.write() as session:
        teachers.note_health(session, name, found)
    return found
