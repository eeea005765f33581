"""Fine-tuning jobs as the stock SDK orders, follows, pauses and lists them."""

from pathlib import Path

import openai
import pytest
from openai import OpenAI
from openai.types.fine_tuning import FineTuningJob
from sqlmodel import select

from service.models import Dataset, DatasetVersion, Run, VersionState
from service.store import runs
from service.store.database import Database

LICENCE = {"decision": "allowed", "intended_use": "research", "duties": [], "clauses": []}
TRAINING = {"model": "/models/base", "training_file": "dataset:sums@1"}


@pytest.fixture(autouse=True)
def sealed(database: Database) -> None:
    """Two versions of `sums`: one that may be trained on, one whose licence nobody knows."""
    common = {"dataset": "sums", "state": VersionState.SEALED, "kept": 3, "input": 3, "recipe": {}, "batches": []}
    with database.write() as session:
        session.add(Dataset(name="sums"))
        session.flush()
        for number, licence in ((1, LICENCE), (2, LICENCE | {"decision": "unknown"})):
            session.add(DatasetVersion(number=number, licence=licence, intended_use="research", **common))


def test_a_job_is_a_run_in_openais_words(sdk: OpenAI, database: Database) -> None:
    asked = {"n_epochs": 2, "batch_size": 16, "learning_rate_multiplier": 0.5}
    method = {"type": "supervised", "supervised": {"hyperparameters": asked}}
    made = sdk.fine_tuning.jobs.create(**TRAINING, method=method, seed=7, suffix="tiny", metadata={"team": "a"})
    FineTuningJob.model_validate(made.model_dump())
    assert (made.status, made.model, made.training_file, made.seed) == ("queued", "/models/base", "dataset:sums@1", 7)
    assert made.hyperparameters.model_dump(exclude_none=True).items() >= asked.items()
    assert (made.method.type, made.metadata, made.error, made.fine_tuned_model) == (
        "supervised",
        {"team": "a"},
        None,
        None,
    )
    with database.read() as session:
        run = runs.get(session, made.id)
    assert run.config == {"epochs": 2, "batch_size": 16, "gradient_accumulation": 1, "seed": 7} | {
        "learning_rate_multiplier": 0.5
    }
    assert (run.method, run.dataset, run.version, run.suffix) == ("sft", "sums", 1, "tiny")


def test_any_method_of_the_trainer_can_be_named(sdk: OpenAI, database: Database) -> None:
    wishes = {"retort": {"method": "soft_label", "config": {"temperature": 4, "epochs": 1}}}
    made = sdk.fine_tuning.jobs.create(**TRAINING, hyperparameters={"n_epochs": 3}, extra_body=wishes)
    with database.read() as session:
        run = runs.get(session, made.id)
    assert (run.method, run.config) == ("soft_label", {"epochs": 1, "temperature": 4})
    assert (made.method, made.to_dict()["retort"]["method"]) == (None, "soft_label")


def test_a_job_is_followed_paused_resumed_and_cancelled(sdk: OpenAI, database: Database) -> None:
    job = sdk.fine_tuning.jobs.create(**TRAINING)
    with database.write() as session:
        runs.start(session, runs.get(session, job.id))
        for step in (10, 20):
            runs.progress(session, job.id, {"event": "step", "step": step, "total": 40, "loss": 1.5, "eta_s": 60.0})
            runs.progress(session, job.id, {"event": "saved", "step": step, "path": "x"})
    running = sdk.fine_tuning.jobs.retrieve(job.id)
    assert running.status == "running"
    told = list(sdk.fine_tuning.jobs.list_events(job.id, limit=2))
    assert [event.message for event in told if event.type == "metrics"] == [
        "Step 20/40: training loss=1.5",
        "Step 10/40: training loss=1.5",
    ]
    assert told[-1].message == "The job waits for a worker that trains."
    saved = sdk.fine_tuning.jobs.checkpoints.list(job.id, limit=1)
    assert [point.step_number for point in saved] == [20, 10]

    paused = sdk.fine_tuning.jobs.pause(job.id)
    assert (paused.status, paused.to_dict()["retort"]["state"]) == ("queued", "paused")
    with pytest.raises(openai.ConflictError, match="is paused"):
        sdk.fine_tuning.jobs.pause(job.id)
    assert sdk.fine_tuning.jobs.resume(job.id).to_dict()["retort"]["state"] == "queued"
    assert sdk.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    with pytest.raises(openai.ConflictError):
        sdk.fine_tuning.jobs.resume(job.id)


def test_how_it_ended_is_told(sdk: OpenAI, database: Database) -> None:
    jobs = [sdk.fine_tuning.jobs.create(**TRAINING) for _ in range(2)]
    with database.write() as session:
        runs.succeed(session, jobs[0].id, {"trained": {"tokens": 1234}}, "runs/x")
        runs.fail(session, jobs[1].id, "would_be_cut", "row 3 has 9,000 tokens")
    done, failed = (sdk.fine_tuning.jobs.retrieve(job.id) for job in jobs)
    assert (done.status, done.fine_tuned_model, done.trained_tokens) == ("succeeded", jobs[0].id, 1234)
    assert (failed.status, failed.error.code) == ("failed", "would_be_cut")
    assert sdk.fine_tuning.jobs.list_events(failed.id).data[0].level == "error"
    assert jobs[0].id in {model.id for model in sdk.models.list()}


def test_jobs_are_listed_in_pages_and_by_metadata(sdk: OpenAI) -> None:
    ids = [sdk.fine_tuning.jobs.create(**TRAINING, metadata={"n": str(n % 2)}).id for n in range(4)]
    assert [job.id for job in sdk.fine_tuning.jobs.list(limit=3)] == ids[::-1]
    assert [job.id for job in sdk.fine_tuning.jobs.list(metadata={"n": "1"})] == [ids[3], ids[1]]


def test_the_same_key_is_one_job(sdk: OpenAI) -> None:
    key = {"Idempotency-Key": "once"}
    first, again = (sdk.fine_tuning.jobs.create(**TRAINING, extra_headers=key) for _ in range(2))
    assert first.id == again.id


@pytest.mark.parametrize(
    ("changes", "param", "said"),
    [
        ({"training_file": "file-123"}, "training_file", "no file has the id 'file-123'"),
        ({"training_file": "dataset:nobody@1"}, "training_file", "nobody"),
        ({"validation_file": "file-1"}, "validation_file", "eval split"),
        ({"method": {"type": "dpo"}, "extra_body": {"retort": {"method": "sft"}}}, "method", "otherwise"),
        ({"extra_body": {"suffx": "a"}}, "suffx", "suffx"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_to_do(sdk: OpenAI, changes: dict, param: str, said: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.fine_tuning.jobs.create(**TRAINING | changes)
    assert (refused.value.param, said in refused.value.message) == (param, True)


def test_nobody_trains_on_a_version_whose_licence_is_unknown(sdk: OpenAI, database: Database, tmp_path: Path) -> None:
    with pytest.raises(openai.ConflictError, match="unknown for research use"):
        sdk.fine_tuning.jobs.create(**TRAINING | {"training_file": "dataset:sums@2"})
    with database.read() as session:
        assert session.exec(select(Run)).all() == []
