"""Starting while the database server is still starting itself, as after a power cut."""

import threading

import pytest
from sqlalchemy.exc import OperationalError

from service.store import database as store
from service.store.database import Database
from tests.postgres import PostgresServer


@pytest.mark.usefixtures("postgres_url")  # says what is missing where there is no Postgres
def test_a_database_server_that_comes_a_moment_later_is_waited_for(tmp_path):
    server = PostgresServer(tmp_path)
    starter = threading.Timer(1.0, server.start)
    starter.start()
    try:
        database = Database(server.url)
        database.create()
        database.ping()
        database.close()
    finally:
        starter.join()
        server.stop()


def test_one_that_never_comes_is_an_error(monkeypatch):
    monkeypatch.setattr(store, "START_S", 1.0)
    with pytest.raises(OperationalError, match="refused"):
        Database("postgresql+psycopg://retort@127.0.0.1:9/none").create()
