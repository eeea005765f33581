"""What a worker counts reaches whoever asks the database."""

import re
import subprocess
import sys

from prometheus_client import generate_latest

from service.metrics import registry
from tests.workers.help import ON_SQLITE, numbered, state, submit


def value(database, sample: str) -> float:
    lines = generate_latest(registry(database)).decode()
    found = re.search(rf"^{re.escape(sample)} (\S+)$", lines, re.MULTILINE)
    return float(found[1]) if found else 0.0


@ON_SQLITE
def test_requests_by_outcome_tokens_and_times_are_told_of_each_teacher(database, settings, fake, tmp_path):
    fake.play(faults=[{"kind": "rate_limited", "tries": 1}])
    batch = submit(database, fake.base_url, numbered(12), names=("counted",))
    alive, url = tmp_path / "alive", settings.url()
    env = {"RETORT_DATABASE_URL": url, "RETORT_DATA_DIR": str(tmp_path), "PATH": ""}
    command = [sys.executable, "-m", "workers", "--kinds", "generate", "--alive-file", str(alive)]
    with subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as worker:
        try:
            while state(database, batch) != "completed":
                assert worker.poll() is None
            assert value(database, 'retort_workers{kind="generate"}') == 1
            assert value(database, 'retort_workers{kind="train"}') == 0
            assert alive.exists()
            worker.terminate()
            assert worker.wait(30) == 0
        finally:
            worker.kill()
    assert value(database, 'retort_teacher_requests_total{outcome="ok",teacher="counted"}') == 12
    assert value(database, 'retort_teacher_requests_total{outcome="rate_limited",teacher="counted"}') == 12
    assert value(database, 'retort_teacher_request_seconds_count{teacher="counted"}') == 12
    tokens = value(database, 'retort_teacher_tokens_total{kind="completion",teacher="counted"}')
    assert tokens == value(database, 'retort_completion_tokens_total{teacher="counted"}') > 0
    assert value(database, 'retort_workers{kind="generate"}') == 0, "it said goodbye"
