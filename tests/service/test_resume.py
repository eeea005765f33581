"""A submission that breaks off: killed in the middle of storing, cut in the middle of sending, sent twice at once."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import text

from service import submission
from service.client import Client
from service.errors import Conflict
from service.formats.detect import Format
from service.models import Batch, BatchState
from service.settings import Settings
from service.spooling import Spooled
from service.store import batches, teachers
from service.store.database import Database
from service.submission import Order, accept, sweep
from tests.processes import free_ports

LINES = 16_000
TEACHER = {"name": "tiny", "base_url": "http://127.0.0.1:9/v1", "model": "m", "license": "mit"}
CHUNK = submission.CHUNK_ROWS


def until(true: Callable[[], Any], within_s: float = 60) -> Any:
    deadline = time.monotonic() + within_s
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.005)
    return found


def stored(database: Database) -> tuple[int, int]:
    """Return how many prompts there are, and the greatest id that one ever had."""
    with database.read() as session:
        row = session.connection().execute(text("select count(*), coalesce(max(id), 0) from prompt")).one()
    return int(row[0]), int(row[1])


@pytest.fixture
def body(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    with path.open("wb") as file:
        file.writelines(orjson.dumps({"id": f"p{n}", "prompt": f"{n} + {n}?"}) + b"\n" for n in range(LINES))
    return path


@contextmanager
def api(database: Database, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A real API process over the database of this test."""
    env = os.environ | {
        "RETORT_DATA_DIR": str(folder),
        "RETORT_DATABASE_URL": database.engine.url.render_as_string(hide_password=False),
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "service.app:create_app", "--port", str(port)]
    with subprocess.Popen([*command, "--log-level", "warning"], env=env) as process:
        try:
            until(lambda: _answers(port))
            yield process
        finally:
            process.kill()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_file_whose_api_was_killed_half_way_goes_on_where_it_stood(database, tmp_path, body):
    """The client notices by itself: the same call ends with the batch."""
    with database.write() as session:
        teachers.register(session, TEACHER)
    port = free_ports(1)
    notes: list[str] = []
    with api(database, tmp_path, port) as first, Client(f"http://127.0.0.1:{port}") as client:
        answers: list[Any] = []
        submit = threading.Thread(
            target=lambda: answers.append(client.submit(body, ["tiny"], once=True, note=notes.append))
        )
        submit.start()
        until(lambda: stored(database)[0] > 2 * CHUNK)
        first.kill()
        first.wait()
        before, greatest = stored(database)
        assert before < LINES, "it was stored before the kill"
        assert before % CHUNK == 0
        with api(database, tmp_path, port):
            submit.join()
            batch = answers[0]
            again = client.submit(body, ["tiny"], once=True)
    assert notes, "the client did not have to send it again"
    assert (batch.new, batch.prompts, batch.counts.total) == (True, LINES, LINES)
    assert (again.new, again.id) == (False, batch.id)
    count, greatest_after = stored(database)
    assert count == LINES
    # Each insert takes an id, even one that a constraint passes over: so many more were tried, and none twice.
    assert greatest_after - greatest <= LINES - before + CHUNK


def test_an_upload_that_is_cut_off_stores_nothing_and_leaves_nothing(database, tmp_path):
    with database.write() as session:
        teachers.register(session, TEACHER)
    port = free_ports(1)
    with api(database, tmp_path, port):
        with socket.create_connection(("127.0.0.1", port)) as half:
            head = f"POST /api/batches?teacher=tiny HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 1000\r\n\r\n"
            half.sendall(head.encode() + b'{"prompt": "x"}\n')
            until(lambda: any((tmp_path / "uploads").glob("*")))
        until(lambda: not any((tmp_path / "uploads").glob("*")))
    assert stored(database) == (0, 0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def order(database: Database) -> Order:
    with database.write() as session:
        teachers.register(session, TEACHER)
    return Order(["tiny"], 1, {}, {}, "key")


def spooled(path: Path, lines: int, form: Format = Format.JSONL) -> Spooled:
    path.write_bytes(b"".join(orjson.dumps({"prompt": str(n)}) + b"\n" for n in range(lines)))
    return Spooled(path, f"sha256 of {lines}", form)


def state_of(database: Database, order: Order) -> Batch | None:
    with database.read() as session:
        return batches.by_key(session, order.idempotency_key or "")


def half_stored(database: Database, order: Order, body: Spooled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a body in until its second chunk, and then have the database go away."""
    monkeypatch.setattr(submission, "CHUNK_ROWS", 10)
    keep, chunks = batches.keep_chunk, []

    def fails(*given: Any, **more: Any) -> bool:
        chunks.append(given)
        if len(chunks) == 3:
            raise ConnectionError("the database went away")
        return keep(*given, **more)

    monkeypatch.setattr(batches, "keep_chunk", fails)
    with pytest.raises(ConnectionError):
        accept(database, Settings(data_dir=body.path.parent), order, body)
    monkeypatch.setattr(batches, "keep_chunk", keep)


def test_a_body_that_broke_off_is_taken_up_at_once_and_only_with_the_same_bytes(
    database, settings, order, tmp_path, monkeypatch
):
    body = spooled(tmp_path / "b", 35)
    half_stored(database, order, body, monkeypatch)
    assert stored(database)[0] == 20
    with pytest.raises(Conflict, match="had another body"):
        accept(database, settings, order, spooled(tmp_path / "c", 36))
    batch, new = accept(database, settings, order, body)
    assert (new, batch.prompts, batch.state, batch.holder) == (True, 35, BatchState.IN_PROGRESS, "")
    with database.read() as session:
        assert batches.last_line(session, batch.id) == 35
        assert batches.counts(session, batch)["total"] == 35


def test_a_start_keeps_what_has_a_key_and_removes_what_has_none(database, settings, order, tmp_path, monkeypatch):
    body = spooled(tmp_path / "b", 35)
    half_stored(database, order, body, monkeypatch)
    sweep(database)
    assert stored(database)[0] == 20
    half = state_of(database, order)
    assert half is not None
    with pytest.raises(Conflict, match="still being stored"), database.write() as session:
        batches.cancel(session, half.id)
    with database.write() as session:
        session.connection().execute(text("update batch set idempotency_key = null"))
    sweep(database)
    assert stored(database)[0] == 0
    with database.read() as session:
        assert batches.page(session, after=None, limit=9) == []


def test_a_key_waits_for_its_body_a_day(database, order, tmp_path, monkeypatch):
    half_stored(database, order, spooled(tmp_path / "b", 35), monkeypatch)
    with database.write() as session:
        session.connection().execute(text("update batch set created_at = created_at - 86401"))
    sweep(database)
    assert state_of(database, order) is None


def test_while_one_request_takes_a_body_in_another_is_told_when_to_ask_again(
    database, settings, order, tmp_path, monkeypatch
):
    body = spooled(tmp_path / "b", 35)
    keep = batches.keep_chunk

    def second_comes_in(*given: Any, **more: Any) -> bool:
        with pytest.raises(Conflict, match="being taken in right now") as refusal:
            accept(database, settings, order, body)
        assert 1 <= int((refusal.value.headers or {})["Retry-After"]) <= submission.HOLD_S
        return keep(*given, **more)

    monkeypatch.setattr(batches, "keep_chunk", second_comes_in)
    assert accept(database, settings, order, body)[0].prompts == 35


def test_a_request_that_was_frozen_writes_nothing_after_another_took_over(
    database, settings, order, tmp_path, monkeypatch
):
    body = spooled(tmp_path / "b", 35)
    monkeypatch.setattr(submission, "CHUNK_ROWS", 10)
    keep, chunks = batches.keep_chunk, []

    def freezes(*given: Any, **more: Any) -> bool:
        chunks.append(given)
        if len(chunks) == 2:
            with database.write() as session:
                session.connection().execute(text("update batch set held_until = 0"))
            assert accept(database, settings, order, body)[0].prompts == 35
        return keep(*given, **more)

    monkeypatch.setattr(batches, "keep_chunk", freezes)
    with pytest.raises(Conflict, match="taken in by another request"):
        accept(database, settings, order, body)
    batch = state_of(database, order)
    assert batch is not None
    assert (batch.state, batch.prompts, stored(database)[0]) == (BatchState.IN_PROGRESS, 35, 35)


def test_ids_that_repeat_across_chunks_are_all_named_and_nothing_stays(
    database, settings, order, tmp_path, monkeypatch
):
    monkeypatch.setattr(submission, "CHUNK_ROWS", 10)
    path = tmp_path / "b"
    ids = [*range(25), 3, *range(100, 120), 24, 24]
    path.write_bytes(b"".join(orjson.dumps({"id": n, "prompt": "x"}) + b"\n" for n in ids) + b'{"promt": 1}\n')
    with pytest.raises(Exception, match="line 26, field 'id': the id '3' stands on line 4 too") as refusal:
        accept(database, settings, order, Spooled(path, "sha"))
    errors = refusal.value.errors  # pyright: ignore[reportAttributeAccessIssue]
    assert [error["line"] for error in errors] == [26, 48, 49]
    assert state_of(database, order) is None
    assert stored(database)[0] == 0


def test_a_file_that_is_wrong_as_a_whole_is_not_read_to_its_end(database, settings, order, tmp_path):
    path = tmp_path / "b"
    path.write_bytes(b"no JSON\n" * 5000)
    with pytest.raises(Exception, match=r"\(and at least 999 more\)") as refusal:
        accept(database, settings, order, Spooled(path, "sha"))
    assert len(refusal.value.errors) == 1000  # pyright: ignore[reportAttributeAccessIssue]
