"""Runs: the trainer is followed, stopped, resumed and never left behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlmodel import select

from service import training
from service.errors import Conflict, NotFound
from service.models import Event, Job, JobKind, JobState, Run, RunState
from service.store import quantizations, runs, teachers
from service.store.database import Database
from tests.workers.help import ON_SQLITE
from tests.workers.made import add_batch, order, questions, version
from tests.workers.test_worker_process import until

STAND_IN = '''
"""Speaks the trainer's language and learns nothing; what it does stands in the run's config."""
import argparse, json, os, signal, subprocess, sys, time
from pathlib import Path
if sys.argv[1] == "quantize":
    if "4" in sys.argv:
        print(json.dumps({"event": "failed", "reason": "group_size", "detail": "it must divide the width"}), flush=True)
        sys.exit(2)
    (Path(sys.argv[2]) / "student-int8.json").write_text(json.dumps({"arguments": sys.argv[3:]}))
    sys.exit()
parser = argparse.ArgumentParser()
for name in ("method", "dataset"):
    parser.add_argument(name)
for name in ("student", "out", "config", "evaluation"):
    parser.add_argument("--" + name)
given = parser.parse_args()
out, config = Path(given.out), json.loads(Path(given.config).read_text())
(out / "pids").open("a").write(f"{os.getpid()}\\n")
def emit(event, **values):
    print(json.dumps({"event": event, **values}), flush=True)
step_file = out / "step"
step = int(step_file.read_text()) if step_file.exists() else 0
def stop(*_):
    step_file.write_text(str(step))
    emit("interrupted", step=step)
    os._exit(3)
signal.signal(signal.SIGTERM, signal.SIG_IGN if config.get("deaf") else stop)
emit("started", method=given.method, resumed_from=step)
print("a library that prints", flush=True)
print("and complains", file=sys.stderr, flush=True)
while step < config.get("steps", 3):
    step += 1
    emit("training", step=step)
    time.sleep(config.get("step_s", 0.01))
if config.get("refuse"):
    emit("failed", reason="row_too_long", detail="row 7 has 9,000 tokens")
    sys.exit(2)
if config.get("crash"):
    raise RuntimeError("out of luck")
if config.get("die"):
    os.kill(os.getpid(), signal.SIGKILL)
(out / "report.json").write_text(json.dumps({"student": given.student, "arguments": sys.argv[1:],
    "key": os.environ.get("RETORT_TEACHER_API_KEY")}))
emit("finished", report=str(out / "report.json"))
'''


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch) -> None:
    """Put a program in the trainer's place: torch alone would take longer than all of these tests."""
    package = tmp_path / "stand_in" / "trainer"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", f"{package.parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def sums(database, work) -> str:
    """A sealed version without a test split; returns the batch it is made of."""
    batch = add_batch(database, questions(20, reference="5"), n=1)
    version_id = order(database, "sums", [batch], [], split={})
    work(lambda: version(database, version_id).state == "sealed", kinds={JobKind.CURATE})
    return batch


@pytest.fixture
def train(database, work, stand_in, sums):
    """Order a run and let a worker do it; return it as it ended."""

    def run(evaluation: list[str] | None = None, **config) -> Run:
        run_id = order_run(database, evaluation, **config)
        work(lambda: state(database, run_id) in runs.ENDED, kinds={JobKind.TRAIN})
        return get(database, run_id)

    return run


def order_run(database: Database, evaluation: list[str] | None = None, **config) -> str:
    values = {"dataset": "sums", "version": 1, "method": "sft", "student": "some/student", "config": config}
    with database.write() as session:
        return runs.order(session, values | {"evaluation": evaluation or []})[0].id


def get(database: Database, run_id: str) -> Run:
    with database.read() as session:
        return runs.get(session, run_id)


def state(database: Database, run_id: str) -> str:
    return get(database, run_id).state


def job(database: Database, run_id: str) -> Job:
    with database.read() as session:
        return session.exec(select(Job).where(Job.subject == run_id)).one()


def told(database: Database, run_id: str) -> list[tuple[str, dict]]:
    with database.read() as session:
        found = session.exec(select(Event).where(Event.subject == run_id).order_by(Event.id)).all()
    return [(event.kind, event.data) for event in found]


def alive(pid: int) -> bool:
    """Return whether a process runs; one that is dead and not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False


def pids(folder: Path) -> list[int]:
    file = folder / "pids"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def test_a_run_ends_with_its_report_and_its_events(database, train, settings):
    run = train(steps=4, step_s=0.2)
    folder = settings.data_dir / run.path
    assert (run.state, run.path) == (RunState.SUCCEEDED, f"runs/{run.id}")
    assert run.report["student"] == "some/student"
    assert run.report["arguments"][:2] == ["sft", str((settings.data_dir / "datasets/sums/v1").resolve())]
    assert run.progress["event"] == "finished"
    kinds = [kind for kind, _ in told(database, run.id)]
    assert (kinds[0], kinds[1], kinds[-1]) == ("run.queued", "run.started", "run.succeeded")
    assert [data["step"] for kind, data in told(database, run.id) if "step" in data][-1] == 4
    assert json.loads((folder / "config.json").read_text()) == {"steps": 4, "step_s": 0.2}
    assert {"a library that prints", "and complains"} <= set((folder / "log.txt").read_text().splitlines())
    assert job(database, run.id).state == JobState.DONE


@ON_SQLITE
@pytest.mark.parametrize(
    ("config", "reason", "detail"),
    [
        ({"refuse": True}, "row_too_long", "9,000 tokens"),
        ({"crash": True}, "trainer_crashed", "RuntimeError: out of luck"),
        ({"die": True}, "killed_by_signal_9", "takes the last memory: halve `batch_size`"),
    ],
)
def test_a_run_that_fails_says_why(database, train, config, reason, detail):
    run = train(**config)
    assert (run.state, run.reason) == (RunState.FAILED, reason)
    assert detail in run.detail
    assert job(database, run.id).state == JobState.FAILED


def test_a_registered_teacher_scores_by_its_address_key_and_licence(database, train, settings, monkeypatch):
    values = {"name": "big", "base_url": "http://127.0.0.1:9/v1", "model": "big", "license": "mit"}
    with database.write() as session:
        teachers.register(session, values | {"api_key_env": "KEY_OF_BIG"})
    missing = train(teacher="some/teacher", teacher_server="big")
    assert (missing.state, missing.reason) == ("failed", "not_prepared")
    assert "KEY_OF_BIG is not set where the worker runs" in missing.detail
    assert "Error:" not in missing.detail
    monkeypatch.setenv("KEY_OF_BIG", "secret")
    run = train(teacher="some/teacher", teacher_server="big", temperature=1)
    folder = settings.data_dir / "runs" / run.id
    config = json.loads((folder / "config.json").read_bytes())
    assert (config["teacher_server"], config["teacher_license"]) == ("http://127.0.0.1:9/v1", "mit")
    assert run.report["key"] == "secret"
    assert b"secret" not in (folder / "config.json").read_bytes()


def test_a_run_is_scored_by_nobody_but_a_registered_teacher(database, sums):
    with database.write() as session, pytest.raises(NotFound, match="no teacher is called 'http://far/v1'"):
        training.order(session, "sums@1", {"evaluation": [], "config": {"teacher_server": "http://far/v1"}})


def test_the_evaluation_holds_all_prompts_and_all_answers(database, train, settings):
    asked = [row | {"messages": [{"role": "user", "content": f"Held out {row['key']}"}]} for row in questions(7)]
    whole = add_batch(database, asked[:5], n=2, meta={"set": "hard"}, finish_reason="length")
    nobody = add_batch(database, asked[5:], n=0)
    run = train([whole, nobody])
    assert run.state == RunState.SUCCEEDED
    rows = pq.read_table(settings.data_dir / run.path / "evaluation.parquet").to_pylist()
    assert [row["set"] for row in rows] == ["hard"] * 5 + [nobody] * 2
    assert [len(row["responses"]) for row in rows] == [2] * 5 + [0] * 2
    assert rows[0]["truncated"] == [True, True]
    assert rows[0]["reasonings"][0].startswith("Think of")
    assert rows[0]["prompt"] == asked[0]["messages"]
    assert "--evaluation" in run.report["arguments"]


@ON_SQLITE
def test_a_run_that_would_be_measured_on_its_training_is_refused(database, train, sums, settings):
    leaked = questions(2)
    leaked[1]["messages"] = [{"role": "user", "content": "  QUESTION 1: how much\nis 13?"}]
    run = train([add_batch(database, leaked, n=1)])
    assert (run.state, run.reason) == (RunState.FAILED, "evaluation_in_training")
    assert run.detail.startswith("2 evaluation prompts are in the train split")
    assert "Question 0: how much is 0?" in run.detail
    assert pids(settings.data_dir / "runs" / run.id) == []


@ON_SQLITE
@pytest.mark.parametrize("deaf", [False, True])
def test_cancelling_a_run_ends_its_trainer(database, work, stand_in, sums, settings, deaf, monkeypatch):
    monkeypatch.setattr("workers.train.GRACE_S", 0.5)
    run_id = order_run(database, steps=10_000, step_s=0.1, deaf=deaf)
    folder = settings.data_dir / "runs" / run_id

    def cancelled() -> bool:
        if not get(database, run_id).progress:
            return False
        with database.write() as session:
            runs.cancel(session, run_id)
        until(lambda: not alive(pids(folder)[0]), 20)
        return True

    work(cancelled, kinds={JobKind.TRAIN})
    assert state(database, run_id) == RunState.CANCELLED
    assert job(database, run_id).state == JobState.CANCELLED


@ON_SQLITE
def test_a_run_whose_worker_stops_goes_on_where_it_was(database, work, stand_in, sums, settings):
    run_id = order_run(database, steps=30, step_s=0.1)
    work(lambda: (get(database, run_id).progress or {}).get("step", 0) >= 5, kinds={JobKind.TRAIN})
    assert (job(database, run_id).state, job(database, run_id).reason) == (JobState.QUEUED, "")
    work(lambda: state(database, run_id) == RunState.SUCCEEDED, kinds={JobKind.TRAIN})
    resumed = [data["resumed_from"] for _, data in told(database, run_id) if "resumed_from" in data]
    assert resumed[0] == 0
    assert resumed[1] >= 5


@ON_SQLITE
def test_a_killed_worker_takes_its_trainer_along_and_the_next_one_goes_on(database, work, stand_in, sums, settings):
    run_id = order_run(database, steps=25, step_s=0.1)
    folder = settings.data_dir / "runs" / run_id
    url = database.engine.url.render_as_string(hide_password=False)
    env = os.environ | {"RETORT_DATABASE_URL": url, "RETORT_LEASE_S": "2"}
    command = [sys.executable, "-m", "workers", "--data-dir", str(settings.data_dir), "--kinds", "train"]
    with subprocess.Popen(command, env=env) as worker:
        until(lambda: bool(pids(folder)), 60)
        worker.send_signal(signal.SIGKILL)
        until(lambda: not alive(pids(folder)[0]), 5)
    work(lambda: state(database, run_id) == RunState.SUCCEEDED, kinds={JobKind.TRAIN})
    assert len(pids(folder)) == 2
    assert job(database, run_id).attempts == 2


@ON_SQLITE
def test_a_run_that_was_cancelled_before_it_began_is_left_alone(database, work, stand_in, sums):
    run_id = order_run(database)
    with database.write() as session:
        runs.cancel(session, run_id)
    other = order_run(database, steps=1)
    work(lambda: state(database, other) == RunState.SUCCEEDED, kinds={JobKind.TRAIN})
    assert state(database, run_id) == RunState.CANCELLED


@ON_SQLITE
def test_a_finished_student_is_made_smaller_by_a_worker(database, train, work, settings):
    run = train(steps=1)

    def order(bits: int, group_size: int | None = None) -> tuple[Job, bool]:
        with database.write() as session:
            return quantizations.order(session, runs.get(session, run.id), bits, group_size)

    first, again = order(8), order(8)
    assert (first[1], again[1], again[0].id) == (True, False, first[0].id)
    with pytest.raises(Conflict, match="with another group size"):
        order(8, 32)
    order(4, 64)

    def found() -> dict[int, Job]:
        with database.read() as session:
            return {each.payload["bits"]: each for each in quantizations.of(session, run.id)}

    work(lambda: all(each.finished_at for each in found().values()), kinds={JobKind.QUANTIZE})
    assert found()[8].state == JobState.DONE
    assert (found()[4].state, found()[4].reason) == (JobState.FAILED, "group_size")
    given = json.loads((settings.data_dir / run.path / "student-int8.json").read_text())["arguments"]
    assert given == ["--dataset", str((settings.data_dir / "datasets/sums/v1").resolve()), "--bits", "8"]


@ON_SQLITE
def test_a_run_without_a_student_is_not_quantized(database, sums):
    run_id = order_run(database)
    with database.write() as session, pytest.raises(Conflict, match="is queued; a student is quantized once"):
        quantizations.order(session, runs.get(session, run_id), 8, None)
