"""The tables' history."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlmodel import SQLModel, text

from service.store.database import Database
from service.store.migrate import NewerDatabase, is_of_a_model

ROOT = Path(__file__).parents[2]


def test_the_migrations_make_the_tables_that_the_code_knows(database):
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False, "include_name": is_of_a_model})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_an_up_to_date_database_is_left_alone(database):
    database.create()


def test_a_database_of_a_later_retort_is_refused_with_what_to_do(database):
    with database.engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = 'later'"))
    with pytest.raises(NewerDatabase, match="made by a later one"):
        database.create()


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "workers", "--kinds", "generate"],
        ["-c", "from service.cli import main; main()", "up", "--port", "0", "--workers", "0"],
    ],
    ids=["worker", "api"],
)
def test_api_and_worker_refuse_a_database_of_a_later_retort_and_leave_it_alone(tmp_path, command):
    url = f"sqlite:///{tmp_path / 'retort.db'}"
    database = Database(url)
    database.create()
    with database.engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = 'later'"))
    database.close()
    own = {name: value for name, value in os.environ.items() if not name.startswith(("RETORT_", "DATABASE_URL"))}
    env = own | {"RETORT_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, *command], env=env, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-2:]
    assert any("made by a later one. Install that version, or restore a backup" in line for line in last), done.stderr
    assert "Traceback" not in done.stderr
