"""The tables' history: brought up to date at every start, and never run backwards by accident.

A change of the tables is a new file in `service/migrations/versions/`: `python -m service.store.migrate "what changed"`
writes it from the difference between the models and an up-to-date database; read it before you commit it.
"""

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, text

LOCK = 0x5265746F7274
"""Postgres advisory lock: of several processes that start at once, one migrates and the others wait."""


SEARCH = "trace_search"
"""What begins so is an index of words that a migration made by hand; no model describes it."""


class NewerDatabase(Exception):
    """The database was made by a later Retort than this one."""


def check(engine: Engine) -> None:
    """Raise NewerDatabase where this code does not know the database's revision; whatever else, if it is not there."""
    with engine.connect() as connection:
        _known(connection)


def upgrade(engine: Engine) -> None:
    """Bring the tables up to date. Raises NewerDatabase where this code does not know the database's revision."""
    with engine.execution_options(write=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": LOCK})
        if not _known(connection):
            command.upgrade(_config(connection), "head")


def _known(connection: Connection) -> bool:
    """Whether the tables are up to date. Raises NewerDatabase."""
    known = ScriptDirectory.from_config(_config(connection))
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in {script.revision for script in known.walk_revisions()}:
        raise NewerDatabase(
            f"the database is at revision {current}, which this Retort does not know: it was made by a later one. "
            "Install that version, or restore a backup from before"
        )
    return current == known.get_current_head()


def is_of_a_model(name: str | None, kind: str, parent: object) -> bool:
    """Whether a table of the database is to be compared with the models; alembic's `include_name`."""
    return not (kind == "table" and (name or "").startswith(SEARCH))


def knows(revision: str) -> bool:
    """Whether this code can bring tables of that revision up to date."""
    return revision in {script.revision for script in ScriptDirectory.from_config(_config(None)).walk_revisions()}


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent.parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def main() -> None:
    """Write a new migration called by the first argument."""
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/new.db")
        with engine.begin() as connection:
            config = _config(connection)
            command.upgrade(config, "head")
            command.revision(config, message=sys.argv[1], autogenerate=True)


if __name__ == "__main__":
    main()
