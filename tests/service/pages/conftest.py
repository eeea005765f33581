"""The app over a filled database, and over an empty one; all its pages read once."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from service.store.database import Database
from tests.service.conftest import HERE
from tests.service.pages.ids import ASKING, BROKEN, DONE, TRAINED, TRAINING
from tests.service.pages.library import fill
from tests.service.pages.reader import Page

BROWSER = {"Accept": "text/html,application/xhtml+xml"}
MOVING = [f"/batches/{ASKING}/live", "/datasets/arithmetic/2/live", f"/runs/{TRAINING}/live"]
STILL = [f"/batches/{DONE}/live", "/datasets/arithmetic/1/live", f"/runs/{TRAINED}/live", f"/runs/{BROKEN}/live"]
ELSEWHERE = ("/api/", "/docs", "/metrics", "https:")
"""Linked from pages, and no pages themselves."""
READING = ["/traces/18?as=text", "/traces/18?outcome=reject&q=times", "/traces/18/next?outcome=reject"]
AGAIN = re.compile(r"/traces/\d+(/|\?)")
"""A trace among those looked for: the same page once more, as often as there are ways to look."""


def filled_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """Return a data folder with a filled database in it."""
    folder = tmp_path_factory.mktemp(name)
    database = Database(f"sqlite:///{folder / 'retort.db'}")
    database.create()
    fill(database, folder)
    database.close()
    return folder


@contextmanager
def with_key(folder: Path) -> Iterator[TestClient]:
    """Yield a client of the pages over a folder of its own: it has the key, may change things, follows no redirect."""
    app = create_app(Settings(data_dir=folder, database_url="", api_key="s3cret"))
    with TestClient(app, base_url=HERE, follow_redirects=False) as client:
        client.headers["Authorization"] = "Bearer s3cret"
        yield client


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[TestClient]:
    app = create_app(Settings(data_dir=tmp_path, database_url=""))
    with TestClient(app, base_url=HERE, headers=BROWSER) as running:
        yield running


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the filled database in it; nobody writes to it."""
    return filled_folder(tmp_path_factory, "library")


@pytest.fixture(scope="session")
def filled(library: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(data_dir=library, database_url="")), base_url=HERE, headers=BROWSER) as running:
        yield running


@pytest.fixture(scope="session")
def site(filled: TestClient) -> dict[str, Page]:
    """Every page that can be reached from the front page by following links."""
    found: dict[str, Page] = {}
    to_read = ["/", *MOVING, *STILL, *READING]
    while to_read:
        path = to_read.pop()
        if path in found or path.startswith(ELSEWHERE):
            continue
        answer = filled.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
        found[path] = Page(answer.text)
        links = [link.partition("#")[0] for link in found[path].links if not link.startswith("#")]
        to_read += [link for link in links if not AGAIN.match(link)]
    return found
