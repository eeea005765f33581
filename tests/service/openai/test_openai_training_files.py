"""Uploaded files as the stock SDK trains on them: checked, made a version with its provenance, then queued."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import openai
import pyarrow.parquet as pq
import pytest
from openai import OpenAI
from openai.types import FileObject
from openai.types.fine_tuning import FineTuningJob

from service.models import JobKind
from service.settings import Settings
from service.store import datasets, runs, teachers
from service.store.database import Database
from tests.service.openai.conftest import strict, upload
from workers.worker import Worker

Prepare = Callable[..., Any]


def example(asked: str, answer: str, **more: Any) -> dict[str, Any]:
    """A chat example, the answer as it is to be learnt."""
    said = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return {"messages": said} | more


def preference(asked: str, better: str, worse: str) -> dict[str, Any]:
    """A preference in OpenAI's words."""
    outputs = {"preferred_output": better, "non_preferred_output": worse}
    said = {name: [{"role": "assistant", "content": text}] for name, text in outputs.items()}
    return {"input": {"messages": [{"role": "user", "content": asked}]}} | said


@pytest.fixture
def prepare(sdk: OpenAI, settings: Settings, database: Database) -> Prepare:
    """Return a function that orders a job and lets a worker make its files a version."""

    def run(**wanted: Any) -> Any:
        job = sdk.fine_tuning.jobs.create(model="/models/base", **wanted)
        assert job.status == "validating_files"

        async def main() -> None:
            worker = Worker(settings, database, {JobKind.INTAKE, JobKind.CURATE})
            task = asyncio.create_task(worker.run())
            end = time.monotonic() + 60
            while (await asyncio.to_thread(sdk.fine_tuning.jobs.retrieve, job.id)).status == "validating_files":
                assert time.monotonic() < end
                await asyncio.sleep(0.05)
            worker.stop()
            await task

        asyncio.run(main())
        return sdk.fine_tuning.jobs.retrieve(job.id)

    return run


def rows(settings: Settings, database: Database, job: Any, part: str) -> list[dict[str, Any]]:
    """Return the rows of a split, or the rejected ones, of the version that a job will train on."""
    with database.read() as session:
        version = runs.version_of(session, runs.get(session, job.id))
    folder = settings.data_dir / version.path
    found = sorted(folder.glob("rejected.parquet" if part == "rejected" else f"data/{part}-*.parquet"))
    return [row for file in found for row in pq.read_table(file).to_pylist()]


def test_files_become_a_version_and_its_training_is_queued(
    sdk: OpenAI, prepare: Prepare, settings: Settings, database: Database
) -> None:
    lines = [
        example("1 + 1?", "<think>\none and one\n</think>\n\n2"),
        {"messages": [*example("2 + 2?", "")["messages"][:1], {"role": "assistant", "content": "4", "weight": 1}]},
        example("3 + 3?", "6", retort={"category": "sums", "license": "cc-by-4.0"}),
    ]
    lines[1]["messages"][1]["reasoning_content"] = "two and two"
    held_out = example("4 + 4?", "8", retort={"reference": 8, "verifier": "number"})
    train, valid = (upload(sdk, *each, purpose="fine-tune") for each in (lines, [held_out, lines[2]]))
    wish = {"retort": {"license": "mit"}}
    job = prepare(training_file=train.id, validation_file=valid.id, extra_body=wish)
    assert (job.status, job.training_file, job.validation_file) == ("queued", train.id, valid.id)
    strict(FineTuningJob, sdk.fine_tuning.jobs.with_raw_response.retrieve(job.id))
    assert job.to_dict()["retort"]["dataset"] == f"{train.id}@1"

    learnt = rows(settings, database, job, "train")
    assert [(row["reasoning"], row["response"]) for row in learnt] == [("one and one", "2"), ("two and two", "4")]
    # A prompt of the validation file is in no other split, so that nothing is measured on what was learnt.
    assert [row["response"] for row in rows(settings, database, job, "eval")] == ["6", "8", "6"]
    with database.read() as session:
        run = runs.get(session, job.id)
        version = runs.version_of(session, run)
        assert version.licence["decision"] == "allowed_with_duties"
        assert teachers.get(session, "uploaded-mit").license == "mit"
    manifest = sdk.get(f"/../api/datasets/{train.id}/versions/1/manifest", cast_to=dict[str, Any])
    assert [entry["imported"]["file_id"] for entry in manifest["lineage"]] == [train.id, valid.id]
    assert {source["license"] for source in manifest["sources"]} == {"mit", "cc-by-4.0"}

    again = sdk.fine_tuning.jobs.create(
        model="/models/base", training_file=train.id, validation_file=valid.id, extra_body=wish
    )
    assert again.id != job.id
    with pytest.raises(openai.ConflictError, match="is being read for"):
        sdk.files.delete(train.id)


def test_the_worse_answer_of_a_preference_is_rejected_by_whoever_wrote_it(
    sdk: OpenAI, prepare: Prepare, settings: Settings, database: Database
) -> None:
    file = upload(sdk, preference("1 + 1?", "2", "3"), preference("2 + 2?", "4", "5"), purpose="fine-tune")
    method: Any = {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2}}}
    job = prepare(training_file=file.id, method=method)
    assert (job.method.type, job.method.dpo.hyperparameters.beta) == ("dpo", 0.2)
    assert [row["response"] for row in rows(settings, database, job, "train")] == ["2", "4"]
    worse = rows(settings, database, job, "rejected")
    assert [(row["response"], row["filter"], row["detail"]) for row in worse] == [
        ("3", "person", "uploader: not_preferred"),
        ("5", "person", "uploader: not_preferred"),
    ]
    with database.read() as session:
        run = runs.get(session, job.id)
    assert (run.method, run.config) == ("preference", {"beta": 0.2, "worse": ["person"]})


def test_what_nobody_knows_the_licence_of_is_learnt_and_not_exported(
    sdk: OpenAI, prepare: Prepare, database: Database
) -> None:
    file = upload(sdk, example("1 + 1?", "2"), purpose="fine-tune")
    job = prepare(training_file=file.id, metadata={"license": "unknown"})
    assert job.status == "queued"
    with pytest.raises(openai.ConflictError) as refused:
        sdk.get(f"/../api/datasets/{file.id}/versions/1/download", cast_to=object)
    assert "is unknown for research use" in refused.value.body["detail"]
    with database.read() as session:
        assert datasets.version(session, file.id, 1).licence["decision"] == "unknown"


def test_what_is_forbidden_is_not_learnt(sdk: OpenAI, prepare: Prepare) -> None:
    file = upload(sdk, example("1 + 1?", "2"), purpose="fine-tune")
    job = prepare(
        training_file=file.id, extra_body={"retort": {"license": "cc-by-nc-4.0", "intended_use": "commercial"}}
    )
    assert (job.status, job.error.code, job.error.param) == ("failed", "invalid_file", "training_file")
    assert "is forbidden for commercial use" in job.error.message


def test_a_bad_line_fails_the_job_and_is_named(sdk: OpenAI, prepare: Prepare) -> None:
    file = upload(sdk, example("0 + 0?", "0"), example("1 + 1?", ""), purpose="fine-tune")
    job = prepare(training_file=file.id)
    assert (job.status, job.error.code, job.error.param) == ("failed", "invalid_file", "training_file")
    says = f"prompts.jsonl ({file.id}), line 2, field 'messages.1.content': the answer is empty; nothing of the batch"
    assert job.error.message.startswith(says)
    assert sdk.get("/../api/batches", cast_to=dict[str, Any])["data"] == []


def test_files_for_something_else_and_contradictions_are_refused(sdk: OpenAI, teacher: None) -> None:
    batch = upload(
        sdk,
        {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions"}
        | {"body": {"model": "tiny", "messages": [{"role": "user", "content": "a"}]}},
    )
    job: dict[str, Any] = {"model": "/models/base"}
    with pytest.raises(openai.BadRequestError, match="uploaded for 'batch'"):
        sdk.fine_tuning.jobs.create(**job, training_file=batch.id)
    with pytest.raises(openai.BadRequestError, match="said of an uploaded file"):
        sdk.fine_tuning.jobs.create(**job, training_file="dataset:a@1", extra_body={"retort": {"license": "mit"}})


def test_the_losses_of_a_training_are_a_file(sdk: OpenAI, settings: Settings, database: Database) -> None:
    file = upload(sdk, example("1 + 1?", "2"), purpose="fine-tune")
    job = sdk.fine_tuning.jobs.create(model="/models/base", training_file=file.id)
    name = f"file-metrics-{job.id.removeprefix('run_')}"
    with pytest.raises(openai.NotFoundError, match="no result file"):
        sdk.files.content(name)
    folder = settings.data_dir / "runs" / job.id
    folder.mkdir(parents=True)
    (folder / "events.jsonl").write_text(
        '{"event": "step", "step": 1, "loss": 3.5, "learning_rate": 0.01, "tokens": 10}\n'
        '{"event": "step", "step": 2, "loss": 9.0, "learning_rate": 0.02, "tokens": 20}\n'
        '{"event": "saved", "step": 1}\n'
        '{"event": "step", "step": 2, "loss": 2.5, "learning_rate": 0.02, "tokens": 20}\n'
        '{"event": "eval_loss", "step": 2, "loss": 2.75}\n'
    )
    with database.write() as session:
        runs.succeed(session, job.id, {"trained": {"tokens": 20}}, f"runs/{job.id}")
    assert sdk.fine_tuning.jobs.retrieve(job.id).result_files == [name]
    strict(FileObject, sdk.files.with_raw_response.retrieve(name))
    assert sdk.files.content(name).text.splitlines() == [
        "step,train_loss,valid_loss,learning_rate,tokens",
        "1,3.5,,0.01,10",
        "2,2.5,2.75,0.02,20",
    ]
