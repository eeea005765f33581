"""Who did what."""

from datetime import datetime
from typing import Any

from service.acts import Act
from service.api.shapes.base import Given


class AuditOut(Given):
    id: int
    at: datetime
    act: Act
    subject: str
    """What it was done to: the id or name that its own route has; the address, of a key that opened nothing."""
    who: str
    """The name of the key, as it was then; `RETORT_API_KEY` for the one from the environment, empty for a wrong one."""
    key_id: str | None
    address: str
    detail: dict[str, Any]
