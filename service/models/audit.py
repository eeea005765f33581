"""The audit: who did what, for good."""

from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from service.acts import Act
from service.models.columns import created, json_field, row_id, word


class Audit(SQLModel, table=True):
    """One act, written in the transaction of the act itself. The database refuses to change or delete such a row."""

    __table_args__ = (Index("audit_act", "act", "id"), Index("audit_who", "who", "id"))

    id: int | None = row_id()
    at: float = created()
    act: Act = word(Act)
    subject: str = Field(index=True)
    """What it was done to: the id or name that its own page has."""
    who: str
    """The name of the key, as it was then; empty where the key opened nothing."""
    key_id: str | None = None
    address: str = ""
    detail: dict[str, Any] = json_field(dict)
