"""Alembic's environment: it runs on the connection that `service.store.migrate` hands over, never by itself."""

from alembic import context
from sqlmodel import SQLModel

import service.models  # noqa: F401  the tables as the code knows them

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,  # SQLite cannot alter a column in place
    compare_type=False,  # SQLModel's string types compare as different though they are the same
)
context.run_migrations()
