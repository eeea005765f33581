"""A database in a file: taken while others write, and put back into an empty place.

SQLite is copied by its own online backup, Postgres by `pg_dump` and `pg_restore`. Either way the file holds one moment:
every commit before it whole, nothing of those after.
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect
from sqlmodel import Session, col, func, select, text

from service.models import Batch, DatasetVersion, File, Job, JobKind, JobState, Prompt, Run, RunState, Trace
from service.models.datasets import VersionState
from service.store.database import Database

COUNTED = {"batches": Batch, "prompts": Prompt, "traces": Trace, "versions": DatasetVersion, "runs": Run}
BINARIES = Path("/usr/lib/postgresql")
"""Where Debian keeps the programs of each Postgres it has; the newest can dump all that are older."""


class SnapshotFailed(Exception):
    """The database could not be written to a file or read from one; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a snapshot holds, and what it means for the files beside it."""

    revision: str
    counts: dict[str, int]
    needed: frozenset[str]
    """Files and folders of the data folder that its rows speak of."""
    in_work: frozenset[str]
    """Folders that somebody is writing: their jobs begin anew when the snapshot is put back."""


def take(database: Database, target: Path) -> Facts:
    """Write the database as it is at this moment to `target`. Raises SnapshotFailed."""
    if database.embedded:
        return _copy(str(database.engine.url.database), target)
    with _held(database) as (session, snapshot):
        _run("pg_dump", database, "--format=custom", "--no-owner", f"--snapshot={snapshot}", f"--file={target}")
        return _facts(session)


def is_empty(database: Database) -> bool:
    """Whether the database has no tables."""
    return not inspect(database.engine).get_table_names()


def put_back(database: Database, source: Path) -> None:
    """Fill an empty Postgres database from a snapshot, whole or not at all. Raises SnapshotFailed."""
    _run("pg_restore", database, "--no-owner", "--single-transaction", "--exit-on-error", str(source))


def check_file(path: Path) -> None:
    """Raise SnapshotFailed where an embedded database's file is damaged."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            found = connection.execute("pragma quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise SnapshotFailed(f"the database is damaged: {found}")


def _copy(source: str, target: Path) -> Facts:
    with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(target)) as copy:
        # In one step: a copy in pieces would begin anew whenever somebody writes. Readers stop no writer.
        live.backup(copy)
        copy.execute("pragma journal_mode=delete")
    check_file(target)
    engine = create_engine(f"sqlite:///{target}")
    with Session(engine) as session:
        facts = _facts(session)
    engine.dispose()
    return facts


@contextmanager
def _held(database: Database) -> Iterator[tuple[Session, str]]:
    """Yield a session that sees one moment for as long as the block runs, and the name by which others see it, too."""
    with Session(database.engine.execution_options(isolation_level="REPEATABLE READ")) as session:
        yield session, str(session.connection().scalar(text("select pg_export_snapshot()")))


def _facts(session: Session) -> Facts:
    revision = MigrationContext.configure(session.connection()).get_current_revision()
    if revision is None:
        raise SnapshotFailed("the database has no tables yet; there is nothing to back up")
    counts = {name: session.scalar(select(func.count()).select_from(table)) or 0 for name, table in COUNTED.items()}
    sealed = select(DatasetVersion.path).where(DatasetVersion.state == VersionState.SEALED)
    trained = select(Run.path).where(Run.state == RunState.SUCCEEDED)
    uploaded = select(File.id).where(col(File.deleted_at).is_(None))
    needed = {*session.scalars(sealed), *session.scalars(trained)}
    needed |= {f"files/{file_id}.jsonl" for file_id in session.scalars(uploaded)}
    running = select(Run.id).where(col(Run.state).in_((RunState.QUEUED, RunState.RUNNING)))
    rendered = select(Job.subject).where(
        Job.kind == JobKind.RENDER, col(Job.state).in_((JobState.QUEUED, JobState.RUNNING))
    )
    in_work = {f"runs/{run_id}" for run_id in session.scalars(running)}
    in_work |= {f"renders/{render_id}" for render_id in session.scalars(rendered)}
    return Facts(revision, counts, frozenset(needed), frozenset(in_work))


def _run(name: str, database: Database, *options: str) -> None:
    url = database.engine.url
    address = url.set(drivername="postgresql", password=None).render_as_string()
    # Not on the command line, where every user of the machine could read it.
    env = os.environ | ({"PGPASSWORD": url.password} if url.password else {})
    command = [program(name), f"--dbname={address}", "--no-password", *options]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SnapshotFailed(f"{name} failed: {done.stderr.strip()[-1000:]}")


def program(name: str) -> str:
    """Return where a program of Postgres is. Raises SnapshotFailed."""
    installed = sorted(BINARIES.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    found = str(installed[-1]) if installed else shutil.which(name)
    if found is None:
        raise SnapshotFailed(
            f"a Postgres database is backed up and restored by {name}, which is not here: install Postgres' client "
            "programs, of the server's version or later (apt install postgresql-client)"
        )
    return found
