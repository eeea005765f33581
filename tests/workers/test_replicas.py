"""Several servers of one teacher: requests are spread over those that answer."""

import pytest

from tests.workers.conftest import Fake
from tests.workers.help import check_accounts, failures, jobs, numbered, state, submit


@pytest.fixture
def second(tmp_path):
    fake = Fake(tmp_path / "second.jsonl")
    fake.play()
    yield fake
    fake.stop()


def test_requests_are_spread_over_all_servers_of_a_teacher(database, work, fake, second):
    fake.play(latency_ms=20)
    second.play(latency_ms=20)
    batch = submit(database, fake.base_url, numbered(120), max_concurrency=4, replicas=(second.base_url,))
    work(lambda: state(database, batch) == "completed")
    assert check_accounts(database, batch)["stored"] == 120
    calls = len(fake.calls()), len(second.calls())
    assert sum(calls) == 120
    assert min(calls) > 30


def test_a_server_that_is_down_is_passed_over_while_another_answers(database, work, fake, second):
    second.stop()
    batch = submit(database, fake.base_url, numbered(60), max_concurrency=8, replicas=(second.base_url,))
    work(lambda: state(database, batch) == "completed")
    assert check_accounts(database, batch)["stored"] == 60
    assert failures(database, batch) == []


def test_a_server_that_dies_in_the_middle_costs_no_answer(database, work, fake, second):
    fake.play(latency_ms=20)
    second.play(latency_ms=20)
    batch = submit(database, fake.base_url, numbered(200), max_concurrency=4, replicas=(second.base_url,))

    def done() -> bool:
        if len(second.calls()) > 20:
            second.stop()
        return state(database, batch) == "completed"

    work(done)
    assert check_accounts(database, batch)["stored"] == 200


def test_the_time_that_servers_were_busy_is_accounted(database, work, fake, second):
    fake.play(latency_ms=100)
    second.play(latency_ms=100)
    batch = submit(database, fake.base_url, numbered(40), max_concurrency=4, replicas=(second.base_url,))
    work(lambda: state(database, batch) == "completed")
    busy_s = sum(job.busy_s for job in jobs(database, batch))
    # 20 requests at each server, 4 at once, 0.1 s each: 0.5 s of each server's time.
    assert 0.95 <= busy_s < 3
