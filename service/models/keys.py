"""API keys: who may do what."""

from sqlmodel import Field, SQLModel

from service.models.columns import created, new_id, word
from service.scopes import Scope


class ApiKey(SQLModel, table=True):
    """A key, kept as the hash of its token: the token itself is shown once and stored nowhere."""

    id: str = Field(default_factory=lambda: new_id("key"), primary_key=True)
    name: str
    scope: Scope = word(Scope)
    token_sha256: str = Field(unique=True)
    created_at: float = created()
    revoked_at: float | None = None
