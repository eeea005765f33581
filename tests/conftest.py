"""Fixtures that every room's tests share: a database, empty, on SQLite and on Postgres."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from service.store.database import Database
from tests.postgres import PostgresMissing, postgres_server


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Yield the URL of a Postgres server's maintenance database."""
    given = os.environ.get("RETORT_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    try:
        # Not pytest's own folder: a run beside this one would tidy it away under the server.
        with tempfile.TemporaryDirectory(prefix="retort-postgres-") as folder, postgres_server(Path(folder)) as url:
            yield url
    except PostgresMissing as missing:
        leave_out(f"the tests on Postgres: {missing}")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Yield a new database with its tables, once on SQLite and once on Postgres."""
    url = f"sqlite:///{tmp_path / 'retort.db'}"
    if request.param == "postgres":
        url = new_postgres_database(request.getfixturevalue("postgres_url"))
    made = Database(url)
    made.create()
    yield made
    made.close()


def new_postgres_database(server_url: str) -> str:
    """Create a randomly named database in the server and return its SQLAlchemy URL."""
    name = f"retort_{secrets.token_hex(6)}"
    engine = create_engine(server_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"create database {name}"))
    engine.dispose()
    return f"{server_url.rsplit('/', 1)[0]}/{name}"


def leave_out(what: str) -> None:
    """Skip a test that this machine cannot run; in CI nothing may be left out."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"left out in CI: {what}")
    pytest.skip(what)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in the last lines what was left out on this machine."""
    reasons = {report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.getreports("skipped")}
    if reasons:
        terminalreporter.section("left out on this machine")
        for what in sorted(reasons):
            terminalreporter.write_line(f"- {what}")
