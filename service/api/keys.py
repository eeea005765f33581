"""API keys: make, list, revoke. All of it needs the scope `admin`."""

from fastapi import APIRouter

from service.access import Admin
from service.acts import Act
from service.api.deps import DatabaseDep
from service.api.shapes.teachers import KeyIn, KeyMade, KeyOut
from service.models import ApiKey
from service.store import audit, keys

router = APIRouter(prefix="/api/keys", tags=["keys"])


@router.post("", status_code=201)
def make(body: KeyIn, database: DatabaseDep, admin: Admin) -> KeyMade:
    """Make a key. Its token is in this answer and nowhere else."""
    with database.write() as session:
        key, token = keys.make(session, body.name, body.scope)
        audit.record(session, admin, Act.KEY_MADE, key.id, name=key.name, scope=key.scope)
    return KeyMade.model_validate(key.model_dump() | {"token": token})


@router.get("")
def list_keys(database: DatabaseDep, _: Admin) -> dict[str, list[KeyOut]]:
    """List keys, revoked ones too."""
    with database.read() as session:
        return {"data": [KeyOut.model_validate(key) for key in keys.every(session)]}


@router.delete("/{key_id}", response_model=KeyOut)
def revoke(key_id: str, database: DatabaseDep, admin: Admin) -> ApiKey:
    """Revoke a key; the row stays, so that what it did can still be told."""
    with database.write() as session:
        key, now = keys.revoke(session, key_id)
        if now:
            audit.record(session, admin, Act.KEY_REVOKED, key.id, name=key.name)
        return key
