"""Training on soft labels: the loss against its formula, labels in their places, and runs for real."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.trainer.process import start
from tests.trainer.tiny import make_row, write_dataset, write_student
from trainer.base import load_tokenizer
from trainer.dataset import open_folder
from trainer.errors import TrainerError
from trainer.report import Report
from trainer.soft_label import Config, train
from trainer.supervisor import Supervisor

K = 4


def add_labels(dataset: Path, student: Path, *, shift: int = 0) -> Path:
    """Put soft labels into a dataset folder: tokens as the student has them, the chosen one at 60 %."""
    tokenizer = load_tokenizer(student, None, None)
    manifest = json.loads((dataset / "manifest.json").read_text())
    splits = {}
    for split, parts in manifest["splits"].items():
        rows = []
        for row in pq.read_table(dataset / parts[0]["path"]).to_pylist():
            text = f"<think>\n{row['reasoning']}\n</think>\n\n{row['response']}<|im_end|>"
            chosen = tokenizer(text, add_special_tokens=False)["input_ids"]
            entries = [[token + shift, *((token + other) % 300 for other in range(1, K))] for token in chosen]
            logprobs = np.log([[0.6, 0.2, 0.1, 0.05]] * len(chosen)).astype(np.float32)
            rows.append(
                {
                    "id": row["id"],
                    "k": K,
                    "token_ids": np.ravel(entries).tolist(),
                    "logprobs": logprobs.ravel().tolist(),
                }
            )
        target = dataset / "soft_labels" / f"{split}-00000.parquet"
        target.parent.mkdir(exist_ok=True)
        fields = {
            "id": pa.int64(),
            "k": pa.int32(),
            "token_ids": pa.list_(pa.int32()),
            "logprobs": pa.list_(pa.float32()),
        }
        pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(fields)), target)
        data = target.read_bytes()
        about = {"sha256": hashlib.sha256(data).hexdigest(), "rows": len(rows), "bytes": len(data)}
        splits[split] = [{"path": str(target.relative_to(dataset)), **about}]
    manifest["soft_labels"] = {"k": K, "tokenizer_sha256": {"tiny-teacher": ""}, "splits": splits}
    (dataset / "manifest.json").write_text(json.dumps(manifest))
    return dataset


def reference(logits: Any, entries: Any, logprobs: Any, temperature: float, tail: str) -> float:
    """KL of one token, written out in the order of the formula."""
    student = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
    teacher = np.exp(logprobs) ** (1 / temperature)
    student = student[entries]
    if tail == "zero":
        teacher = teacher / teacher.sum()
    else:
        teacher, student = np.append(teacher, 1 - teacher.sum()), np.append(student, 1 - student.sum())
    return float((teacher * np.log(teacher / student)).sum())


@pytest.mark.parametrize(("temperature", "tail"), [(1.0, "zero"), (2.0, "zero"), (20.0, "zero"), (1.0, "bucket")])
def test_the_divergence_is_that_of_its_formula(temperature, tail):
    import torch

    from trainer.divergence import divergence

    chosen = np.random.default_rng(3)
    logits = chosen.normal(size=(5, 30)).astype(np.float64)
    ids = np.stack([chosen.choice(30, K, replace=False) for _ in range(5)])
    logprobs = np.log([[0.5, 0.2, 0.1, 0.1]] * 5)
    got = divergence(torch.tensor(logits), torch.tensor(ids), torch.tensor(logprobs), temperature, tail)
    expected = [reference(*token, temperature, tail) for token in zip(logits, ids, logprobs, strict=True)]
    assert got.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("tail", ["zero", "bucket"])
def test_a_student_that_equals_its_teacher_has_no_divergence_and_no_gradient(tail):
    import torch

    from trainer.divergence import divergence

    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]], requires_grad=True)
    ids = torch.tensor([[1, 0, 2, 3]] if tail == "zero" else [[1, 0, -1, -1]])
    logprobs = logits.detach().log_softmax(1).gather(1, ids.clamp(min=0))
    found = divergence(logits, ids, logprobs, 1.0, tail).sum()
    found.backward()
    assert found.item() == pytest.approx(0, abs=1e-6)
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6


def test_a_bucket_at_another_temperature_is_refused():
    with pytest.raises(ValueError, match="needs `temperature: 1`, found 2"):
        Config(student="x", tail="bucket")


@pytest.mark.parametrize(
    ("mine", "theirs", "places"),
    [
        ([1, 2, 3], [1, 2, 3], ([0, 1, 2], [0, 1, 2])),
        ([9, 1, 2, 3], [1, 2, 3], ([1, 2, 3], [0, 1, 2])),
        ([1, 2, 3, 7], [1, 8, 2, 3], ([0, 1, 2], [0, 2, 3])),
        ([1], [2], ([], [])),
    ],
)
def test_tokens_find_their_places_where_a_template_trims(mine, theirs, places):
    from trainer.soft_rows import same_tokens

    found = same_tokens(np.array(mine), np.array(theirs))
    assert tuple(each.tolist() for each in found) == places


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_student(tmp_path_factory.mktemp("student"))


@pytest.mark.train
def test_a_run_learns_the_distribution_and_not_only_the_token(tmp_path, student):
    dataset = write_dataset(tmp_path / "dataset", [make_row(number) for number in range(32)], [make_row(99)])
    add_labels(dataset, student)
    knobs = ["max_steps=60", "batch_size=16", "gradient_accumulation=1", "learning_rate=0.01", "order=as_exported"]
    knobs += ["temperature=1", "alpha=1", "evaluation.prompts_max=1", "evaluation.tokens_max=4"]
    changes = [part for knob in knobs for part in ("--set", knob)]
    run = start(tmp_path, "soft_label", dataset, "--student", student, "--out", tmp_path / "run", *changes)
    assert run.wait() == 0, run.stderr.read_text()
    events = {event["event"]: event for event in run.events()}
    placed = events["soft_labels"]
    assert (placed["rows_labelled"], placed["k"]) == (32, K)
    assert placed["tokens_labelled"] / placed["tokens"] > 0.95, "all but the newline after the stop token"
    steps = [event for event in run.events() if event["event"] == "step"]
    assert steps[-1]["kl"] < 0.3 * steps[0]["kl"]
    assert steps[-1]["agreement"] > 0.5 > steps[0]["agreement"]
    assert events["eval_loss"]["kl"] > 0
    report = Report.model_validate_json((tmp_path / "run" / "report.json").read_bytes())
    watched = report.trained.watched
    assert [look.step for look in watched] == [0, 7, 14, 21, 28, 35, 42, 49, 56, 60]
    assert watched[-1].kl is not None
    assert watched[-1].kl < 0.5 * (watched[0].kl or 0.0)
    held_out = report.held_out["eval split"]
    assert held_out.distribution == "the version's soft labels"
    assert held_out.models["student"].kl == pytest.approx(watched[-1].kl, abs=0.02)
    assert (held_out.models["student"].acceptance or 0.0) > (held_out.models["base"].acceptance or 1.0)


@pytest.mark.train
def test_a_student_that_splits_text_differently_is_refused(tmp_path, student):
    dataset = add_labels(
        write_dataset(tmp_path / "dataset", [make_row(number) for number in range(8)]), student, shift=7
    )
    with pytest.raises(TrainerError, match="split text differently") as refused:
        train(Config(student=str(student)), open_folder(dataset), tmp_path / "run", Supervisor())
    assert refused.value.reason == "tokenizer_mismatch"


def test_a_version_without_soft_labels_is_refused_with_what_to_do(tmp_path, student):
    dataset = write_dataset(tmp_path / "dataset", [make_row(number) for number in range(8)])
    with pytest.raises(TrainerError, match="--top-logprobs") as refused:
        train(Config(student=str(student)), open_folder(dataset), tmp_path / "run", Supervisor())
    assert refused.value.reason == "no_soft_labels"
