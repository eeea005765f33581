"""Trainings for real: TRL, a tiny student of random weights, processes that are killed."""

import fcntl
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service import launching
from tests.trainer.process import Trainer, start
from tests.trainer.tiny import are_equal, make_row, weights_of, write_dataset, write_student
from trainer.report import Report

pytestmark = pytest.mark.train
Build = Callable[..., Path]

STEPS = 12
KNOBS = ("max_steps=12", "batch_size=8", "gradient_accumulation=1", "save_steps=4", "evaluation.tokens_max=16")


def begin(logs: Path, dataset: Path, student: Path, out: Path, *knobs: str) -> Trainer:
    changes = [part for knob in (*KNOBS, *knobs) for part in ("--set", knob)]
    return start(logs, "sft", dataset, "--student", student, "--out", out, *changes)


class Finished:
    """A run from beginning to end, and what it was made of."""

    def __init__(self, folder: Path) -> None:
        self.student = write_student(folder / "base")
        self.dataset = write_dataset(
            folder / "dataset",
            [make_row(number) for number in range(64)],
            [make_row(number) for number in range(1000, 1008)],
            [make_row(number) for number in range(2000, 2010)],
            [
                make_row(number, response="It is \\boxed{0}.")
                | {"filter": "verified", "reason": "wrong_answer", "split": "test"}
                for number in range(2010, 2016)
            ],
        )
        self.out = folder / "run"
        trainer = begin(folder, self.dataset, self.student, self.out)
        self.code = trainer.wait()
        self.events = trainer.events()
        self.stderr = trainer.stderr.read_text()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return Finished(tmp_path_factory.mktemp("finished"))


def test_a_run_trains_evaluates_and_reports(finished: Finished) -> None:
    assert finished.code == 0, finished.stderr
    told = [event["event"] for event in finished.events]
    assert told[:3] == ["started", "rendered", "training"]
    assert [event["step"] for event in finished.events if event["event"] == "step"] == list(range(1, STEPS + 1))
    assert [event["step"] for event in finished.events if event["event"] == "saved"] == [4, 8, 12]
    assert told[-2:] == ["evaluated", "finished"]
    losses = [event["loss"] for event in finished.events if event["event"] == "step"]
    assert losses[-1] < losses[0] - 0.5
    assert finished.events == [json.loads(line) for line in (finished.out / "events.jsonl").read_text().splitlines()]
    last = [event for event in finished.events if event["event"] == "step"][-1]
    assert last["total"] == STEPS
    assert last["tokens_per_s"] > 0
    assert last["eta_s"] == 0
    assert last["learning_rate"] < 2e-3


def test_the_report_measures_base_student_and_teacher(finished: Finished) -> None:
    report = Report.model_validate_json((finished.out / "report.json").read_bytes())
    measured = report.sets["test"]
    assert measured.prompts == 16
    assert set(measured.overall) == {"base", "student", "teacher"}
    teacher = measured.overall["teacher"].sampled
    assert teacher is not None
    assert (teacher.n, teacher.right) == (16, 10)
    assert measured.overall["base"].greedy is not None
    assert report.trained.steps == STEPS
    assert report.lineage.dataset == "tiny-sums"
    assert report.trained.watched == []
    assert "no soft labels of its eval split" in report.trained.not_watched


def test_every_answer_is_kept_and_every_figure_is_there_or_its_reason(finished: Finished) -> None:
    report = Report.model_validate_json((finished.out / "report.json").read_bytes())
    answers = pq.read_table(finished.out / "answers.parquet").to_pylist()
    student = [row for row in answers if row["model"] == "student"]
    assert sum(row["mode"] == "sampled" for row in student) == 16 * 4
    assert sum(row["perturbation"] == "polite" for row in student) == 16
    assert all(0 < row["confidence"] < 1 for row in student if row["mode"] == "greedy" and not row["perturbation"])
    measured = report.sets["test"]
    assert measured.pass_at["student"].prompts == {1: 16, 2: 16, 4: 16}
    assert measured.calibration["student"].token_probability is not None
    assert measured.robustness["whitespace"].n == 16
    assert measured.lengths["teacher"]["sampled"].n == 16
    assert report.held_out["test split"].models["student"].rows == 10, "the kept rows alone"
    assert (
        report.held_out["eval split"].models["student"].perplexity
        < report.held_out["eval split"].models["base"].perplexity
    )
    assert report.engine == "transformers"
    assert {"pass_at_teacher", "retained", "teacher_distance", "watched", "tasks"} <= report.not_measured.keys()
    page = (finished.out / "report.html").read_text()
    assert all(reason.split("`")[0][:40].replace("'", "&#39;") in page for reason in report.not_measured.values())


def test_the_student_is_a_whole_model_and_nothing_else_is_left(finished: Finished) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = finished.out / "student"
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.architectures == ["Qwen3ForCausalLM"]
    assert AutoTokenizer.from_pretrained(folder).chat_template
    assert not [file.name for file in folder.iterdir() if file.suffix in (".bin", ".pt", ".pth")]
    assert "model-index:" in (folder / "README.md").read_text()
    assert len({file.stat().st_mode for file in folder.iterdir()}) == 1, "a server of another user reads all or nothing"
    assert {path.name for path in finished.out.iterdir()} == {
        ".lock", "answers.parquet", "curves.svg", "events.jsonl", "gap-test.png", "gap-test.svg", "report.html",
        "report.json", "report.md", "run.json", "student", "training.json",
    }  # fmt: skip


def test_a_finished_run_returns_at_once(finished: Finished, tmp_path: Path) -> None:
    again = begin(tmp_path, finished.dataset, finished.student, finished.out)
    assert again.wait() == 0
    assert [event["event"] for event in again.events()] == ["started", "finished"]


def test_another_training_does_not_mix_into_a_run(finished: Finished, tmp_path: Path) -> None:
    other = begin(tmp_path, finished.dataset, finished.student, finished.out, "learning_rate=0.1")
    assert other.wait() == 2
    assert other.events()[-1]["reason"] == "other_run"
    assert "learning_rate was 'auto' and is now 0.1" in other.events()[-1]["detail"]


def test_a_finished_run_can_be_measured_on_other_prompts(finished: Finished, tmp_path: Path) -> None:
    out = shutil.copytree(finished.out, tmp_path / "run")
    rows = [
        {"set": name, "id": number, "prompt": make_row(number)["prompt"], "reference": make_row(number)["reference"]}
        | {"verifier": "math", "category": "add", "teacher": "big", "responses": [], "reasonings": [], "truncated": []}
        for name, number in (("held-out", 3001), ("held-out", 3003), ("ood", 3005))
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "evaluation.parquet")
    (tmp_path / "skills.jsonl").write_text('{"prompt": "What is 2 + 3?", "reference": "5"}\n')
    command = ["evaluate", out, "--dataset", finished.dataset, "--evaluation", tmp_path / "evaluation.parquet"]
    command += ["--retained", tmp_path / "skills.jsonl"]
    again = start(tmp_path, *command, "--set", "tokens_max=4", "--set", "base=false", "--set", "samples=1")
    assert again.wait() == 0, again.stderr.read_text()
    report = Report.model_validate_json((out / "report.json").read_bytes())
    assert {name: found.prompts for name, found in report.sets.items()} == {"held-out": 2, "ood": 1, "retained": 1}
    assert [name for name, found in report.sets.items() if found.retained] == ["retained"]
    assert "evaluation.samples" in report.not_measured["pass_at"]
    assert set(report.sets["ood"].overall) == {"student"}
    assert report.tokens_max == 4
    assert (out / "gap-held-out.png").exists()

    (out / "report.md").unlink()
    pages = start(tmp_path, "report", out)
    assert pages.wait() == 0
    assert "## held-out" in (out / "report.md").read_text()


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # of compressed-tensors, where torch 2.13 meets it
def test_a_finished_student_is_made_smaller_and_what_that_costs_is_measured(finished: Finished, tmp_path: Path) -> None:
    import torch

    from trainer.base import load_model

    out = shutil.copytree(finished.out, tmp_path / "run")
    smaller = start(tmp_path, "quantize", out, "--dataset", finished.dataset, "--bits", 4, "--group-size", 16)
    assert smaller.wait() == 0, smaller.stderr.read_text()
    told = {event["event"]: event for event in smaller.events()}
    found = json.loads((out / "student-int4.json").read_text())
    assert (found["bits"], found["group_size"], found["bytes"]) == (4, 16, told["quantized"]["bytes"])
    assert 0 < found["bytes"] < found["bytes_before"]
    measured = found["sets"]["test"]
    assert set(measured["overall"]) == {"student", "int4"}
    assert [(each["against"], each["mode"], each["n"]) for each in measured["comparisons"]] == [
        ("int4", "greedy", 16),
        ("int4", "sampled", 16),
    ]
    assert len({file.stat().st_mode for file in (out / "student-int4").iterdir()}) == 1
    card = (out / "student-int4" / "README.md").read_text()
    assert "## int4: weights in 4 bits" in card
    assert "## Licence and duties" in card

    asked = torch.arange(3, 23)[None]
    before, after = (
        load_model(out / name, "float32", "cpu")(asked).logits.detach() for name in ("student", "student-int4")
    )
    assert 0 < (before - after).abs().mean() < 0.2 * before.abs().mean()

    other = start(tmp_path, "quantize", out, "--dataset", finished.dataset, "--group-size", 24)
    assert other.wait() == 2
    assert "group_size 24 must divide the width of every layer: 32, 96" in other.events()[-1]["detail"]


def test_a_crash_is_exit_1_and_told(finished: Finished, tmp_path: Path) -> None:
    out = shutil.copytree(finished.out, tmp_path / "run")
    (out / "training.json").write_text("{")
    (out / "report.json").unlink()
    crashed = begin(tmp_path, finished.dataset, finished.student, out)
    assert crashed.wait() == 1
    assert crashed.events()[-1]["reason"] == "crashed"
    assert "Traceback" in crashed.stderr.read_text()


def test_interrupted_and_killed_a_run_ends_as_if_nothing_had_been(finished: Finished, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = begin(tmp_path, finished.dataset, finished.student, out)
    first.wait_for(lambda event: event["event"] == "step" and event["step"] == 2)
    first.signal(signal.SIGTERM)
    assert first.wait() == 3
    *_, saved, interrupted = first.events()
    assert (saved["event"], interrupted["event"]) == ("saved", "interrupted")

    second = begin(tmp_path, finished.dataset, finished.student, out)
    resumed = second.wait_for(lambda event: event["event"] == "training")
    assert resumed["step"] == saved["step"] >= 2
    second.wait_for(lambda event: event["event"] == "saved")
    second.signal(signal.SIGKILL)
    assert second.wait() == -signal.SIGKILL
    (out / "checkpoints" / "checkpoint-11").mkdir(exist_ok=True)  # as a kill in the middle of saving leaves one

    third = begin(tmp_path, finished.dataset, finished.student, out)
    third.wait_for(lambda event: event["event"] == "evaluating")
    third.signal(signal.SIGTERM)  # evaluation keeps nothing: it ends at once and is begun again
    assert third.wait() == 3
    assert json.loads((out / "training.json").read_text())["steps"] == STEPS
    assert are_equal(weights_of(out / "student"), weights_of(finished.out / "student"))


def test_two_processes_learn_together_what_one_learns_alone(finished: Finished, tmp_path: Path) -> None:
    import torch

    out = tmp_path / "run"
    command = [sys.executable, *launching.command({"processes": 2}), "trainer", "sft", finished.dataset]
    knobs = (*KNOBS, "batch_size=4", "evaluation.prompts_max=1", "evaluation.base=false", "evaluation.perturbations=[]")
    command += ["--student", finished.student, "--out", out, *(part for knob in knobs for part in ("--set", knob))]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    losses, alone = ([e["loss"] for e in told if e["event"] == "step"] for told in (events, finished.events))
    assert losses == pytest.approx(alone, abs=1e-3), "each step told once, of both"
    together, before = weights_of(out / "student"), weights_of(finished.student)
    for name, tensor in weights_of(finished.out / "student").items():
        moved = (tensor - before[name]).abs().max()
        assert torch.allclose(together[name], tensor, atol=0.02 * float(moved)), name


def test_a_refusal_is_exit_2_with_one_event(dataset: Build, student: Path, tmp_path: Path) -> None:
    folder = dataset([make_row(1), make_row(9, reasoning="7 " * 4500)])
    refused = begin(tmp_path, folder, student, tmp_path / "run")
    assert refused.wait() == 2
    failed = refused.events()[-1]
    assert (failed["event"], failed["reason"]) == ("failed", "would_be_cut")
    assert "row 9 has 90" in failed["detail"]
    assert failed["detail"] in refused.stderr.read_text()


def test_a_folder_in_use_is_left_alone(dataset: Build, student: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with (tmp_path / "run" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = begin(tmp_path, dataset(), student, tmp_path / "run")
        assert second.wait() == 2
    assert second.events()[-1]["reason"] == "out_in_use"
    assert not (tmp_path / "run" / "run.json").exists()
