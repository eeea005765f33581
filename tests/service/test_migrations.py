"""The tables' history."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlmodel import SQLModel, text

from service.store.migrate import NewerDatabase, is_of_a_model


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
