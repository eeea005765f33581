"""On-policy distillation: what stands in its way, and a run for real that is stopped and goes on."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.process import start
from tests.trainer.tiny import make_row, write_dataset, write_student
from trainer.dataset import open_folder
from trainer.errors import Interrupted, TrainerError
from trainer.examine import Given
from trainer.generate import limit_reply
from trainer.on_policy import Config, train
from trainer.report import Report
from trainer.run import run
from trainer.supervisor import Supervisor


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wider than the student, with the same tokenizer."""
    return write_student(tmp_path_factory.mktemp("teacher"), hidden=64)


def write(folder: Path) -> Path:
    # Two answers to each prompt, which is asked once all the same.
    rows = [make_row(number) | {"id": number + 100 * copy} for number in range(12) for copy in range(2)]
    return write_dataset(folder, rows, [make_row(99)], [make_row(200)])


@pytest.mark.train
@pytest.mark.filterwarnings("ignore")  # of vLLM, which TRL imports here where it is installed
def test_a_run_answers_is_scored_stops_is_killed_and_goes_on(tmp_path: Path, student: Path, teacher: Path) -> None:
    config = Config.model_validate(
        {"student": str(student), "teacher": str(teacher), "teacher_license": "apache-2.0"}
        | {"max_steps": 12, "save_steps": 3, "batch_size": 4, "gradient_accumulation": 2, "learning_rate": 0.01}
        | {"beta": 0.5, "reply_tokens_max": 6}
        | {"evaluation": {"prompts_max": 1, "tokens_max": 4, "base": False}}
    )
    dataset, out, told = write(tmp_path / "dataset"), tmp_path / "run", list[dict[str, Any]]()

    def stop_after_one(event: dict[str, Any]) -> None:
        told.append(event)
        first.stop_asked = event["event"] == "step" or first.stop_asked

    first = Supervisor(listener=stop_after_one)
    with pytest.raises(Interrupted, match="after step 2 of 12"):
        run("on_policy", config, dataset, out, Given(), first)
    asked = next(event for event in told if event["event"] == "prompts")
    assert (asked["prompts"], asked["reply_tokens_max"]) == (12, 6)

    settings = tmp_path / "config.json"
    settings.write_text(config.model_dump_json())
    killed = start(tmp_path, "on_policy", dataset, "--out", out, "--config", settings)
    killed.wait_for(lambda event: event.get("step") == 7)
    killed.signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL

    told.clear()
    run("on_policy", config, dataset, out, Given(), Supervisor(listener=told.append))
    steps = [event for event in told if event["event"] == "step"]
    assert [event["step"] for event in steps] in (list(range(7, 13)), list(range(10, 13))), "from a checkpoint on"
    assert all(event["loss"] > 0 and event["tokens"] > 0 for event in steps)
    report = Report.model_validate_json((out / "report.json").read_bytes())
    assert report.trained.details == {"prompts": 12, "reply_tokens_max": 6}
    assert [entry["license"] for entry in report.lineage.teachers] == ["apache-2.0", "apache-2.0"]
    assert [look.step for look in report.trained.watched] == [0, *range(1, 13)], "across the stops"
    assert report.held_out["eval split"].distribution == f"{teacher.name} on this machine"
    assert str(teacher) in (out / "student" / "README.md").read_text()

    # Each step is an epoch here, with an order of its own: as if it had never been stopped.
    whole = tmp_path / "whole"
    whole.mkdir()
    train(config, open_folder(dataset), whole, Supervisor())
    assert weights(whole) == weights(out)


def weights(out: Path) -> bytes:
    return (out / "student" / "model.safetensors").read_bytes()


def refused(dataset: Path, student: Path, teacher: Path, out: Path, **knobs: Any) -> TrainerError:
    config = Config.model_validate({"student": str(student), "teacher": str(teacher)} | knobs)
    with pytest.raises(TrainerError) as error:
        train(config, open_folder(dataset), out, Supervisor())
    return error.value


def test_a_teacher_with_another_vocabulary_is_refused(tmp_path: Path, student: Path, teacher: Path) -> None:
    other = shutil.copytree(teacher, tmp_path / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    dataset = write(tmp_path / "dataset")
    error = refused(dataset, student, other, tmp_path / "run")
    assert error.reason == "tokenizer_mismatch"
    assert "2 of the student's" in str(error)

    longer = shutil.copytree(teacher, tmp_path / "longer")
    about = json.loads((longer / "config.json").read_text())
    (longer / "config.json").write_text(json.dumps(about | {"vocab_size": 1024}))
    assert "count 1,024 of them and the student's 512" in str(refused(dataset, student, longer, tmp_path / "run"))


def test_a_teacher_of_unknown_licence_does_not_teach(tmp_path: Path, student: Path, teacher: Path) -> None:
    error = refused(write(tmp_path / "dataset"), student, teacher, tmp_path / "run")
    assert error.reason == "licence_blocked"
    assert "`teacher_license`" in str(error)


def test_a_teacher_that_is_not_there_is_called_a_teacher(tmp_path: Path, student: Path) -> None:
    error = refused(write(tmp_path / "dataset"), student, tmp_path / "nowhere", tmp_path / "run")
    assert error.reason == "teacher_unreadable"


@pytest.mark.train
def test_fewer_prompts_than_a_step_takes_are_refused(tmp_path: Path, student: Path, teacher: Path) -> None:
    error = refused(write(tmp_path / "dataset"), student, teacher, tmp_path / "run", teacher_license="mit")
    assert error.reason == "too_few_prompts"
    assert "takes 32 different prompts" in str(error)


@pytest.mark.parametrize(
    ("asked", "positions", "limit"), [(None, None, 15), (None, 32, 12), (None, 100, 15), (7, 100, 7), (12, 32, 12)]
)
def test_a_reply_is_limited_by_the_data_and_the_room(asked: int | None, positions: int | None, limit: int) -> None:
    assert limit_reply(asked, reply_longest=10, prompt_longest=20, positions_max=positions) == limit


@pytest.mark.parametrize(("asked", "positions"), [(13, 32), (None, 20)])
def test_a_reply_without_room_is_refused(asked: int | None, positions: int) -> None:
    with pytest.raises(TrainerError, match="are left for a reply"):
        limit_reply(asked, reply_longest=10, prompt_longest=20, positions_max=positions)
