"""What a student is measured with, from the test split or from an evaluation file."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.trainer.tiny import make_row
from trainer.dataset import Folder, open_folder
from trainer.errors import TrainerError
from trainer.questions import read_exam
from trainer.retained import read_retained

Build = Callable[..., Path]


def rejected(number: int, split: str = "test", **changes: Any) -> dict[str, Any]:
    return make_row(number) | {"filter": "verified", "reason": "wrong_answer", "split": split} | changes


@pytest.fixture
def folder(dataset: Build) -> Folder:
    kept = [make_row(1), make_row(2) | {"sample_index": 1}]
    return open_folder(
        dataset(test=kept, rejected=[rejected(2, response="No idea."), rejected(3, "train"), rejected(4, reference="")])
    )


def row(**changes: Any) -> dict[str, Any]:
    return {
        "set": "held-out",
        "id": 7,
        "prompt": [{"role": "user", "content": "1 + 1?"}],
        "reference": "2",
        "verifier": "math",
        "category": "add",
        "teacher": "big",
        "responses": ["\\boxed{2}", "\\boxed{3}"],
        "reasonings": ["one and one", ""],
        "truncated": [False, True],
    } | changes


def write(path: Path, *rows: dict[str, Any]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def test_the_test_split_counts_kept_and_rejected_rows(folder: Folder) -> None:
    exam = read_exam(folder, None, 100)
    assert [question.id for question in exam.questions] == [1, 2]
    second = exam.questions[1].teachers["tiny-teacher"]
    assert [answer.response for answer in second] == ["No idea.", make_row(2)["response"]]
    assert exam.ungradable == {"test": 1}


def test_an_evaluation_file_brings_sets_and_every_answer(folder: Folder, tmp_path: Path) -> None:
    file = write(
        tmp_path / "e.parquet",
        row(),
        row(set="ood", id=8),
        row(teacher="small", responses=["2"], reasonings=[None], truncated=[False]),
    )
    exam = read_exam(folder, file, 100)
    first, second = exam.questions
    assert (first.set, second.set) == ("held-out", "ood")
    assert list(first.teachers) == ["big", "small"]
    assert [answer.truncated for answer in first.teachers["big"]] == [False, True]
    assert first.teachers["small"][0].reasoning == ""


@pytest.mark.parametrize("changes", [{"reference": None}, {"reference": " "}, {"verifier": "tarot"}])
def test_what_nobody_can_judge_is_counted_and_not_asked(
    folder: Folder, tmp_path: Path, changes: dict[str, Any]
) -> None:
    exam = read_exam(folder, write(tmp_path / "e.parquet", row(**changes), row(id=8)), 100)
    assert [question.id for question in exam.questions] == [8]
    assert exam.ungradable == {"held-out": 1}


def test_a_prompt_without_verifier_gets_the_recipes(folder: Folder, tmp_path: Path) -> None:
    exam = read_exam(folder, write(tmp_path / "e.parquet", row(verifier=None), row(id=8)), 100)
    assert exam.questions[0].verifier == "math"


def test_too_many_prompts_are_thinned_evenly(folder: Folder, tmp_path: Path) -> None:
    file = write(tmp_path / "e.parquet", *(row(id=number) for number in range(10)), row(set="ood", id=99))
    exam = read_exam(folder, file, 4)
    assert [question.id for question in exam.questions] == [0, 2, 5, 7, 99]
    assert exam.left_out == {"held-out": 6}


def test_a_retained_set_must_be_one_of_the_exam(folder: Folder, tmp_path: Path) -> None:
    file = write(tmp_path / "e.parquet", row(), row(set="skills", id=8))
    assert read_exam(folder, file, 100, ["skills"]).retained == {"skills"}
    with pytest.raises(TrainerError, match=r"'skill', and no set .* is called so \(there are: held-out, skills\)"):
        read_exam(folder, file, 100, ["skill"])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 2: no JSON"),
        ('{"prompt": "1 + 1?", "messages": []}', "either `prompt` or `messages`"),
        ('{"prompt": "1 + 1?", "refrence": "2"}', "unknown field 'refrence'"),
        ('{"prompt": 3, "reference": "2"}', "must be text"),
        ('{"prompt": "1 + 1?", "reference": "2", "verifier": "tarot"}', "unknown verifier 'tarot'"),
        ('{"prompt": "1 + 1?"}', "`reference` is ''"),
    ],
)
def test_a_wrong_line_of_retained_prompts_is_named(tmp_path: Path, line: str, told: str) -> None:
    file = tmp_path / "skills.jsonl"
    file.write_text('{"prompt": "2 + 2?", "reference": 4, "category": "add"}\n' + line)
    with pytest.raises(TrainerError, match=re.escape(told)):
        read_retained(file, "math")
    file.write_text(file.read_text().splitlines()[0] + "\n\n")
    (question,) = read_retained(file, "math")
    assert (question.set, question.reference, question.verifier) == ("retained", "4", "math")


def test_an_unreadable_evaluation_file_is_refused(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("prompt,reference")
    with pytest.raises(TrainerError, match="cannot be read as Parquet"):
        read_exam(folder, tmp_path / "text", 100)
    bare = row()
    del bare["responses"]
    with pytest.raises(TrainerError, match="lacks the columns responses"):
        read_exam(folder, write(tmp_path / "bare", bare), 100)
