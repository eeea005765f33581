"""Workers as processes: killed, frozen and stopped in the middle of a batch."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import select

from service.models import Job, JobState
from service.store.database import Database
from tests.workers.help import ON_SQLITE, check_accounts, counts, jobs, numbered, state, submit

IN_FLIGHT = 8
LEASE_S = 1.5


@pytest.fixture
def start(database: Database, tmp_path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start worker processes over the database."""
    started: list[subprocess.Popen[bytes]] = []
    url = database.engine.url.render_as_string(hide_password=False)

    def run(**values: object) -> subprocess.Popen[bytes]:
        given = {"RETORT_DATABASE_URL": url, "RETORT_LEASE_S": LEASE_S, "RETORT_DRAIN_S": 10} | values
        env = os.environ | {name: str(value) for name, value in given.items()}
        command = [sys.executable, "-m", "workers", "--data-dir", str(tmp_path / "data"), "--kinds", "generate"]
        started.append(subprocess.Popen(command, env=env))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def impatient(database: Database, monkeypatch) -> Iterator[Database]:
    """Return the database, seen by somebody who waits for no lock."""
    monkeypatch.setattr("service.store.database.BUSY_MS", 50)
    seen = Database(database.engine.url.render_as_string(hide_password=False))
    yield seen
    seen.close()


def until(condition: Callable[[], bool], within_s: float = 150) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.02)


def stored(database: Database, batch: str) -> int:
    return counts(database, batch)["stored"]


def freeze(process: subprocess.Popen[bytes], database: Database) -> None:
    """Stop a worker between two transactions: frozen inside one it holds its locks, and on SQLite all others wait."""
    while True:
        process.send_signal(signal.SIGSTOP)
        try:
            with database.write() as session:
                session.exec(select(Job.id).with_for_update(nowait=True)).all()
                return
        except OperationalError:
            process.send_signal(signal.SIGCONT)
            time.sleep(0.05)


def test_killed_workers_lose_and_double_nothing(database, start, fake):
    fake.play(latency_ms=40)
    batch = submit(database, fake.base_url, numbered(300), n=2, shard_prompts=40, max_concurrency=IN_FLIGHT)
    kills = 0
    for share in (80, 240):
        worker = start()
        until(lambda share=share: stored(database, batch) >= share)
        worker.kill()
        kills += 1
    rescuer = start()
    until(lambda: state(database, batch) == "completed")
    assert check_accounts(database, batch)["stored"] == 600
    answered = sum(call["choices"] for call in fake.calls())
    # What a kill can waste: requests on their way, and answers that wait for their flush.
    assert answered - 600 <= kills * 2 * (IN_FLIGHT + 32)
    rescuer.terminate()
    assert rescuer.wait(10) == 0


def test_a_frozen_worker_wakes_up_and_writes_nothing(database, start, fake, impatient):
    fake.play(latency_ms=40)
    batch = submit(database, fake.base_url, numbered(200), shard_prompts=100, max_concurrency=IN_FLIGHT)
    frozen = start()
    until(lambda: stored(database, batch) >= 40)
    freeze(frozen, impatient)
    start()
    until(lambda: state(database, batch) == "completed")
    before = check_accounts(database, batch)
    frozen.send_signal(signal.SIGCONT)
    time.sleep(2 * LEASE_S)
    assert check_accounts(database, batch) == before | {"stored": 200}
    assert frozen.poll() is None, "it lives on and takes other work"
    assert sum(call["choices"] for call in fake.calls()) - 200 <= IN_FLIGHT + 32


@ON_SQLITE
def test_a_stopped_worker_waits_for_answers_on_their_way_and_wastes_none(database, start, fake):
    fake.play(latency_ms=700)
    batch = submit(database, fake.base_url, numbered(100), max_concurrency=IN_FLIGHT)
    worker = start()
    until(lambda: len(fake.calls()) >= 2 * IN_FLIGHT)
    worker.terminate()
    assert worker.wait(10) == 0
    assert check_accounts(database, batch)["stored"] == len(fake.calls()), "every answer asked for was kept"
    assert [(job.state, job.reason, job.worker) for job in jobs(database, batch)] == [(JobState.QUEUED, "", "")] * 2


@ON_SQLITE
def test_a_stopped_worker_does_not_wait_longer_than_it_may(database, start, fake):
    fake.play(latency_ms=60_000)
    batch = submit(database, fake.base_url, numbered(20), max_concurrency=IN_FLIGHT)
    worker = start(RETORT_DRAIN_S=2)
    until(lambda: len(fake.calls()) == IN_FLIGHT)
    worker.terminate()
    began = time.monotonic()
    assert worker.wait(60) == 0, "1 would be the watchdog's"
    assert time.monotonic() - began < 30, "half of what the answers take"
    assert check_accounts(database, batch)["pending"] == 20
    assert {job.state for job in jobs(database, batch)} == {JobState.QUEUED}
