"""`/v1/models`: the teachers, under the names that the `model` of a request takes, and the students that were trained.

A student is called as its run. It answers once somebody serves it and registers it as a teacher of that name.
"""

from typing import Any, NoReturn

from fastapi import APIRouter

from service.api.deps import DatabaseDep
from service.errors import NotFound
from service.models import Run, Teacher
from service.openai.errors import ModelNotFound, Refused
from service.openai.shapes import ModelObject, Models
from service.settings import Settings
from service.store import runs, teachers

router = APIRouter(prefix="/models", tags=["OpenAI: models"])


@router.get("", response_model=Models)
def list_models(database: DatabaseDep) -> Models:
    """List all teachers, then the students that nobody serves under their own name, the newest first."""
    with database.read() as session:
        # Those whose traces were imported have no server.
        served = [_shown(teacher) for teacher in teachers.every(session) if teacher.base_url]
        known = {model.id for model in served}
        return Models(data=served + [_student(run) for run in runs.students(session) if run.id not in known])


@router.get("/{name:path}", response_model=ModelObject)
def retrieve(name: str, database: DatabaseDep) -> ModelObject:
    """Return one teacher, or one student."""
    with database.read() as session:
        try:
            return _shown(teachers.get(session, name))
        except NotFound as missing:
            student = runs.student(session, name)
            if student is None:
                raise ModelNotFound(missing.detail) from missing
            return _student(student)


@router.delete("/{name:path}", status_code=403, response_model=None)
def delete(name: str, database: DatabaseDep) -> NoReturn:
    """Refuse: traces name their teacher for as long as they are kept, and reports their student."""
    retrieve(name, database)
    message = f"'{name}' stays: teachers are registered at /api/teachers, and students belong to their runs"
    raise Refused(message, status=403, param="model")


def teacher_called(session: Any, settings: Settings, name: str) -> Teacher:
    """Return the teacher that a request's `model` names. Raises ModelNotFound, which says how to serve a student."""
    try:
        return teachers.asked(session, name)
    except NotFound as missing:
        student = runs.student(session, name)
        if student is None:
            raise ModelNotFound(missing.detail) from missing
        folder = (settings.data_dir / student.path / "student").resolve()
        message = (
            f"'{name}' is a student that nobody serves: start it with `retort teacher serve {folder} --name {name}` "
            f"and register it as a teacher called '{name}'"
        )
        raise ModelNotFound(message) from missing


def _shown(teacher: Teacher) -> ModelObject:
    return ModelObject(id=teacher.name, created=int(teacher.created_at), owned_by="retort")


def _student(run: Run) -> ModelObject:
    return ModelObject(id=run.id, created=int(run.finished_at or run.created_at), owned_by="retort")
