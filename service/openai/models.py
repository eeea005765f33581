"""`/v1/models`: the teachers, under the names that the `model` of a request takes."""

from typing import NoReturn

from fastapi import APIRouter

from service.api.deps import DatabaseDep
from service.errors import NotFound
from service.models import Teacher
from service.openai.errors import ModelNotFound, Refused
from service.openai.shapes import ModelObject, Models
from service.store import teachers

router = APIRouter(prefix="/models", tags=["OpenAI: models"])


@router.get("", response_model=Models)
def list_models(database: DatabaseDep) -> Models:
    """List all teachers."""
    with database.read() as session:
        return Models(data=[_shown(teacher) for teacher in teachers.every(session)])


@router.get("/{name:path}", response_model=ModelObject)
def retrieve(name: str, database: DatabaseDep) -> ModelObject:
    """Return one teacher."""
    with database.read() as session:
        try:
            return _shown(teachers.get(session, name))
        except NotFound as missing:
            raise ModelNotFound(missing.detail) from missing


@router.delete("/{name:path}", status_code=403, response_model=None)
def delete(name: str, database: DatabaseDep) -> NoReturn:
    """Refuse: traces name their teacher for as long as they are kept."""
    retrieve(name, database)
    raise Refused(f"'{name}' is a teacher; those are registered at /api/teachers and stay", status=403, param="model")


def _shown(teacher: Teacher) -> ModelObject:
    return ModelObject(id=teacher.name, created=int(teacher.created_at), owned_by="retort")
