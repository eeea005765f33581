"""The whole way with nothing but the stock SDK: files, batches, a dataset version, a fine-tuning job, its report."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from openai.types.fine_tuning import FineTuningJob

from service.settings import Settings
from tests.service.openai.conftest import jsonl, strict, wait_for
from tests.trainer.tiny import make_row, write_student
from tests.workers.conftest import Fake

Object = dict[str, Any]
TRAINED = {"max_steps": 2, "batch_size": 4, "gradient_accumulation": 1, "max_length": 512}
MEASURED = {"base": False, "prompts_max": 2, "tokens_max": 4, "samples": 1, "perturbations": []}


@pytest.fixture
def workers(settings: Settings) -> Iterator[None]:
    """One worker process that does everything, as `retort up` starts it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RETORT_")}
    quiet = {"HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE", "RETORT_DRAIN_S": "1"}
    command = [sys.executable, "-m", "workers", "--data-dir", str(settings.data_dir)]
    with subprocess.Popen(command, env=environment | quiet) as process:
        yield
        process.terminate()


@pytest.mark.train
def test_from_prompts_to_a_measured_student(sdk: OpenAI, fake: Fake, workers: None, tmp_path: Path) -> None:
    asked = [make_row(number) for number in range(24)]
    lines = [
        {"custom_id": f"row-{row['id']}", "method": "POST", "url": "/v1/chat/completions"}
        | {"body": {"model": "tiny", "messages": row["prompt"]}}
        | {"retort": {"reference": row["reference"], "license": "mit"}}
        for row in asked
    ]
    file = sdk.files.create(file=("prompts.jsonl", jsonl(*lines)), purpose="batch")
    batch = sdk.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    batch = wait_for(lambda: (found := sdk.batches.retrieve(batch.id)).status == "completed" and found)
    assert batch.request_counts is not None
    assert batch.request_counts.completed == 24

    wanted = {"name": "sums", "batches": [batch.id], "recipe": {"filters": [{"kind": "length", "tokens_min": 1}]}}
    made = sdk.post("/../api/datasets", body=wanted | {"split": {"eval": 0.2, "test": 0.2}}, cast_to=Object)
    version = f"/../api/datasets/sums/versions/{made['number']}"
    sealed = wait_for(lambda: (found := sdk.get(version, cast_to=Object))["state"] != "curating" and found)
    assert (sealed["state"], sealed["kept"]) == ("sealed", 24)

    job = sdk.fine_tuning.jobs.create(
        model=str(write_student(tmp_path / "base")),
        training_file=f"dataset:sums@{made['number']}",
        suffix="whole-way",
        extra_body={"retort": {"config": TRAINED | {"evaluation": MEASURED}}},
    )
    job = wait_for(
        lambda: (found := sdk.fine_tuning.jobs.retrieve(job.id)).status in {"succeeded", "failed"} and found,
        within_s=280,
    )
    assert job.status == "succeeded", job.error
    strict(FineTuningJob, sdk.fine_tuning.jobs.with_raw_response.retrieve(job.id))
    assert [model.id for model in sdk.models.list()][-1] == job.fine_tuned_model
    losses = sdk.files.content(job.result_files[0]).text.splitlines()
    assert [line.split(",")[0] for line in losses] == ["step", "1", "2"]
    steps = [event.data for event in sdk.fine_tuning.jobs.list_events(job.id) if event.type == "metrics"]
    assert steps[0]["rss_bytes"] > 0  # pyright: ignore[reportIndexIssue, reportOptionalSubscript]

    report = sdk.get(f"/../api/runs/{job.id}/report", cast_to=Object)
    assert report["lineage"]["dataset"] == "sums"
    assert report["trained"]["steps"] == 2
    assert report["sets"]["test"]["overall"]["student"]["greedy"]["n"] > 0
