"""Alembic's environment: it runs on the connection that `service.store.migrate` hands over, never by itself."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import Enum
from sqlmodel import AutoString, SQLModel

import service.models  # noqa: F401  the tables as the code knows them
from service.store.migrate import is_of_a_model


def render(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """Write our text types as plain strings: a migration must not change when an enum or a library does."""
    return "sa.String()" if kind == "type" and isinstance(item, AutoString | Enum) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,  # SQLite cannot alter a column in place
    render_item=render,
    include_name=is_of_a_model,
    compare_type=False,  # SQLModel's string types compare as different though they are the same
)
context.run_migrations()
