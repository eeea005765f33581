"""Tasks of lm-eval: a task of one's own on a file, with no network; and what is said where one cannot be had."""

import json
from pathlib import Path

import pytest

from trainer.config import Evaluation
from trainer.errors import TrainerError
from trainer.evaluate import Reader
from trainer.examine import check
from trainer.local_teacher import load_on_device
from trainer.sft import Config
from trainer.supervisor import Supervisor
from trainer.tasks import Tasks


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Whether 2 + 3 is 5 or 6, three times; the caches of datasets in this test's folder."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows = [{"question": f"{n} + 3 =", "choices": [str(n + 3), str(n + 4)], "answer": 0} for n in range(3)]
    (tmp_path / "sums.json").write_text("\n".join(map(json.dumps, rows)))
    file = tmp_path / "sums.yaml"
    file.write_text(
        f"task: tiny_sums\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {tmp_path / 'sums.json'}}}}}\n"
        "test_split: test\noutput_type: multiple_choice\ndoc_to_text: '{{question}}'\ndoc_to_choice: choices\n"
        "doc_to_target: answer\nmetric_list: [{metric: acc}]\n"
    )
    return file


@pytest.mark.train
@pytest.mark.filterwarnings("ignore")  # of lm-eval's own imports
def test_a_task_of_ones_own_is_measured_offline(task: Path, student: Path) -> None:
    told = []
    tasks = Tasks(Evaluation(tasks=[str(task)], tasks_limit=2))
    found = tasks.run(load_on_device(student), Reader.of(student, "cot"), Supervisor(listener=told.append), "student")
    assert found.keys() == {"tiny_sums"}
    assert found["tiny_sums"]["acc"] in (0.0, 0.5, 1.0), "of two documents"
    assert [event["event"] for event in told] == ["evaluating_tasks"]


@pytest.mark.filterwarnings("ignore")
def test_a_task_that_cannot_be_had_is_refused_before_anything_is_asked(task: Path) -> None:
    task.write_text(task.read_text().replace("dataset_path: json", "dataset_path: nobody/nothing"))
    with pytest.raises(TrainerError, match="Or is their data on the hub, and this machine offline") as refused:
        Tasks(Evaluation(tasks=[str(task)]))
    assert refused.value.reason == "task_unavailable"


def test_a_task_file_that_is_not_there_is_told_before_the_training(tmp_path: Path) -> None:
    config = Config.model_validate({"student": "x", "evaluation": {"tasks": [str(tmp_path / "gone.yaml")]}})
    with pytest.raises(TrainerError, match=r"gone.yaml is no file on this machine"):
        check(config)
    check(Config(student="x"))
