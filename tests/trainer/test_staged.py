"""Trainings of several stages: what a stage answers, what of it is taught, and going on after any step."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.trainer.process import start
from tests.trainer.tiny import make_row, write_dataset, write_student
from trainer import answers, generations, sft, staged
from trainer.answers import _judged
from trainer.dataset import open_folder
from trainer.errors import Interrupted, TrainerError
from trainer.finish import Trained
from trainer.generate import Reply
from trainer.report import Report
from trainer.supervisor import Supervisor

KNOBS = {"max_steps": 2, "batch_size": 8, "gradient_accumulation": 1, "learning_rate": 1e-4, "temperature": 0}


def write(folder: Path) -> Path:
    """Prompts that all have one short answer, which a tiny model can learn."""
    short = {"prompt": "How many?", "reasoning": "7", "response": "\\boxed{7}", "reference": "7"}
    rows = [make_row(number, **short) for number in range(8)]
    return write_dataset(folder, rows, [make_row(99, **short)], [make_row(200, **short)])


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that knows the answer already, so that two steps a stage will do."""
    folder = tmp_path_factory.mktemp("student")
    knobs = {"max_steps": 60, "batch_size": 8, "gradient_accumulation": 1, "learning_rate": 0.01}
    config = sft.Config.model_validate({"student": str(write_student(folder / "base"))} | knobs)
    (folder / "run").mkdir()
    return sft.train(config, open_folder(write(folder / "dataset")), folder / "run", Supervisor())


@pytest.fixture
def assistant(student: Path, tmp_path: Path) -> Path:
    return shutil.copytree(student, tmp_path / "assistant")


@pytest.mark.train
def test_an_assistant_teaches_the_student_and_what_is_done_is_not_done_again(
    tmp_path: Path, student: Path, assistant: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "PART_PROMPTS", 3)
    dataset, out, events = write(tmp_path / "dataset"), tmp_path / "run", list[dict[str, Any]]()
    config = staged.Config.model_validate(
        {"student": str(student), "assistants": [str(assistant)], "assistant_license": "mit"} | KNOBS
    )
    out.mkdir()

    def run() -> list[str]:
        events.clear()
        staged.train(config, open_folder(dataset), out, Supervisor(listener=events.append))
        return [event["event"] for event in events if event["event"] not in ("step", "saved", "eval_loss")]

    answering = ["answering"] * 3
    whole = ["stage", "rendered", "training", *answering, "answered", "stage", "rendered", "training"]
    assert run() == whole
    (told,) = (event for event in events if event["event"] == "answered")
    assert (told["prompts"], told["answers"], told["kept"]) == (8, 8, 8)
    trained = Trained.model_validate_json((out / "training.json").read_bytes())
    assert trained.details["stages"] == [
        {"student": str(assistant), "prompts": 8, "answers": 8, "kept": 8, "reasons": {}}
    ]
    assert [teacher["license"] for teacher in trained.teachers] == ["mit"]
    taught = pq.read_table(out / "stages" / "1" / "answers" / "train.parquet").to_pylist()
    assert {row["completion"][0]["content"] for row in taught} == {"\\boxed{7}"}
    assert len({row["id"] for row in taught}) == 8
    assert trained.rows == 8

    # As if it had been killed while the second part was written.
    (out / "student").rename(tmp_path / "before")
    (out / "stages" / "1" / "answers.json").unlink()
    (out / "stages" / "1" / "answers" / "part-00001.parquet").unlink()
    assert run() == ["stage", "answering", "answered", "stage", "rendered", "training"]


@pytest.mark.train
def test_a_stop_in_the_last_step_of_a_stage_is_not_forgotten(tmp_path: Path, student: Path) -> None:
    config = generations.Config.model_validate({"student": str(student)} | KNOBS)
    told: list[str] = []

    def hear(event: dict[str, Any]) -> None:
        told.append(event["event"])
        supervisor.stop_asked = event["event"] == "saved"

    supervisor = Supervisor(listener=hear)
    (tmp_path / "run").mkdir()
    with pytest.raises(Interrupted):
        generations.train(config, open_folder(write(tmp_path / "dataset")), tmp_path / "run", supervisor)
    assert "answering" not in told


@pytest.mark.train
def test_every_generation_is_measured(tmp_path: Path, student: Path) -> None:
    knobs: dict[str, Any] = KNOBS | {"generations": 2, "evaluation.tokens_max": 12}
    changes = [part for name, value in knobs.items() for part in ("--set", f"{name}={value}")]
    run = start(
        tmp_path, "self", write(tmp_path / "dataset"), "--student", student, "--out", tmp_path / "run", *changes
    )
    assert run.wait() == 0, run.stderr.read_text()
    report = Report.model_validate_json((tmp_path / "run" / "report.json").read_bytes())
    assert set(report.sets["test"].overall) == {"base", "stage:1", "student", "teacher"}
    assert [stage["student"] for stage in report.trained.details["stages"]] == [str(student)]


def reply(response: str, *, truncated: bool = False) -> Reply:
    return Reply("", response, 3, truncated)


@pytest.mark.parametrize(("right_only", "reasons"), [(True, ["", "wrong_answer"]), (False, ["", ""])])
def test_an_answer_that_is_not_taught_says_why(right_only: bool, reasons: list[str]) -> None:
    config = answers.Answering(student="x", right_only=right_only)
    asked = pa.Table.from_pylist(
        [{"prompt_id": 1, "prompt": [{"role": "user"}], "reference": "7", "verifier": "math", "category": ""}] * 4
        + [{"prompt_id": 2, "prompt": [{"role": "user"}], "reference": None, "verifier": None, "category": ""}]
    )
    replies = [reply("\\boxed{7}"), reply("\\boxed{8}"), reply("\\boxed{7}", truncated=True), reply(""), reply("Well.")]
    found = _judged(config, asked, replies, 0, "math")
    assert found["reason"].to_pylist() == [*reasons, "truncated", "no_response", ""]


@pytest.mark.train
def test_a_stage_that_is_never_right_ends_the_run_with_what_to_do(tmp_path: Path) -> None:
    config = generations.Config.model_validate({"student": str(write_student(tmp_path / "student"))} | KNOBS)
    (tmp_path / "run").mkdir()
    with pytest.raises(TrainerError, match="Train it longer") as refused:
        generations.train(config, open_folder(write(tmp_path / "dataset")), tmp_path / "run", Supervisor())
    assert refused.value.reason == "no_right_answers"


def test_an_assistant_of_unknown_licence_does_not_teach(tmp_path: Path, student: Path, assistant: Path) -> None:
    config = staged.Config(student=str(student), assistants=[str(assistant)])
    with pytest.raises(TrainerError, match="`assistant_license`") as refused:
        staged.train(config, open_folder(write(tmp_path / "dataset")), tmp_path / "run", Supervisor())
    assert refused.value.reason == "licence_blocked"


def test_greedy_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="3 times the same answer"):
        generations.Config(student="x", samples=3, temperature=0)
