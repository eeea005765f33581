"""The app over a filled database, and over an empty one; a browser where there is one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from service.store.database import Database
from tests.service.conftest import HERE
from tests.service.pages.library import fill

BROWSER = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[TestClient]:
    app = create_app(Settings(data_dir=tmp_path, database_url=""))
    with TestClient(app, base_url=HERE, headers=BROWSER) as running:
        yield running


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the filled database in it; nobody writes to it."""
    folder = tmp_path_factory.mktemp("library")
    database = Database(f"sqlite:///{folder / 'retort.db'}")
    database.create()
    fill(database, folder)
    database.close()
    return folder


@pytest.fixture(scope="session")
def filled(library: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(data_dir=library, database_url="")), base_url=HERE, headers=BROWSER) as running:
        yield running
