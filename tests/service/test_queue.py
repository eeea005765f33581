"""The queue, on both databases."""

import time

import pytest

from service.models import Job, JobKind, JobState
from service.store import queue
from service.store.database import Database
from service.store.queue import LeaseLost

KINDS = [JobKind.GENERATE]


@pytest.fixture
def jobs(database: Database) -> list[Job]:
    made = [Job(kind=JobKind.GENERATE, subject="batch_1", total=4) for _ in range(3)]
    with database.write() as session:
        session.add_all(made)
    return made


def claim(database: Database, *, limit: int = 1, lease_s: float = 60.0, worker: str = "w1") -> list[Job]:
    with database.write() as session:
        return queue.claim(session, KINDS, worker=worker, lease_s=lease_s, limit=limit)


def test_a_job_is_claimed_once_and_the_oldest_first(database, jobs):
    first, second = claim(database, limit=2), claim(database, limit=2)
    assert [job.id for job in first + second] == [job.id for job in jobs]
    assert claim(database) == []


def test_an_urgent_job_comes_first(database, jobs):
    with database.write() as session:
        session.add(Job(kind=JobKind.GENERATE, subject="urgent", priority=1))
    assert claim(database)[0].subject == "urgent"


def test_other_kinds_are_left_alone(database, jobs):
    with database.write() as session:
        assert queue.claim(session, [JobKind.TRAIN], worker="w", lease_s=60) == []


def test_a_dead_workers_job_comes_back(database, jobs):
    assert claim(database, lease_s=-1.0)[0].attempts == 1
    again = claim(database, worker="w2")[0]
    assert (again.id, again.attempts, again.worker) == (jobs[0].id, 2, "w2")


def test_a_worker_that_wakes_after_its_lease_writes_nothing(database, jobs):
    stale = claim(database, lease_s=-1.0)[0]
    current = claim(database)[0]
    with pytest.raises(LeaseLost), database.write() as session:
        queue.keep(session, stale, lease_s=60, stored=4)
    with database.write() as session:
        queue.keep(session, current, lease_s=60, stored=1)
    with database.read() as session:
        assert session.get(Job, current.id).stored == 1


def test_counters_and_lease_grow_with_every_renewal(database, jobs):
    job = claim(database, lease_s=1.0)[0]
    for _ in range(2):
        with database.write() as session:
            queue.keep(session, job, lease_s=60, stored=2, failed=1, completion_tokens=50)
    with database.read() as session:
        kept = session.get(Job, job.id)
    assert (kept.stored, kept.failed, kept.completion_tokens) == (4, 2, 100)
    assert kept.lease_until > time.time() + 30


@pytest.mark.parametrize(("delay_s", "found"), [(0.0, True), (60.0, False)])
def test_a_job_that_was_put_back_is_due_after_its_delay(database, jobs, delay_s, found):
    job = claim(database)[0]
    with database.write() as session:
        queue.put_back(session, job, delay_s=delay_s, reason="teacher_down", detail="nothing answers")
    assert (job.id in [other.id for other in claim(database, limit=3)]) is found


def test_an_ended_job_is_not_claimed_again(database, jobs):
    done, failed, cancelled = claim(database, limit=3, lease_s=-1.0)
    with database.write() as session:
        queue.finish(session, done)
        queue.fail(session, failed, reason="broken", detail="it broke")
    with database.write() as session:
        assert queue.cancel(session, "batch_1") == 1
    assert claim(database, limit=3) == []
    with pytest.raises(LeaseLost), database.write() as session:
        queue.keep(session, cancelled, lease_s=60)
    with database.read() as session:
        assert session.get(Job, failed.id).state == JobState.FAILED
        assert queue.unfinished(session, "batch_1") == 0


def test_leases_follow_the_databases_clock(database):
    assert abs(database.now() - time.time()) < 5
