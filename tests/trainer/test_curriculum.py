"""A curriculum: prompts that teachers mostly got right come first, as the version's own verdicts tell."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.test_render import prepared
from tests.trainer.tiny import make_row
from trainer.curriculum import pass_rates
from trainer.dataset import open_folder
from trainer.errors import TrainerError

Build = Callable[..., Path]


def row(number: int, prompt_id: int, counts: int = 1) -> dict[str, Any]:
    return make_row(number, reasoning="She counts. " * counts) | {"prompt_id": prompt_id}


def rejected(number: int, prompt_id: int, by: str) -> dict[str, Any]:
    why = {"filter": by, "reason": "x", "detail": "", "evidence": None, "split": "train"}
    return row(number, prompt_id) | why


def with_filters(folder: Path, *kinds: str) -> Path:
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["recipe"]["filters"] = [{"kind": kind} for kind in kinds]
    file.write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def folder(dataset: Build) -> Path:
    """Prompt 1 was always right, 2 half of the time, 3 once in three; the rest says nothing about that."""
    train = [row(1, 3), row(2, 2, counts=9), row(3, 2, counts=2), row(4, 1, counts=30), row(5, 1, counts=5)]
    wrong = [
        rejected(11, 3, "verified"),
        rejected(12, 3, "verified"),
        *(rejected(n, 2, "verified") for n in (13, 14, 15)),
    ]
    others = [rejected(16, 1, "length"), rejected(17, 2, "near_duplicate"), rejected(18, 9, "verified")]
    return with_filters(dataset(train, rejected=wrong + others), "length", "verified", "near_duplicate")


def test_pass_rates_are_right_answers_of_those_that_were_judged(folder: Path) -> None:
    rates = {row_id: str(rate) for row_id, rate in pass_rates(open_folder(folder)).items()}
    assert rates == {1: "1/3", 2: "1/2", 3: "1/2", 4: "1", 5: "1"}


def test_easy_prompts_come_first_and_of_those_alike_short_rows(student: Path, folder: Path, tmp_path: Path) -> None:
    found, _ = prepared(student, folder, tmp_path / "out", order="curriculum")
    assert list(found.rows["id"]) == [5, 4, 3, 2, 1]


def test_without_a_filter_that_tells_right_from_wrong_there_is_no_curriculum(
    student: Path, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainerError, match="set `order` to `short_first`") as refused:
        prepared(student, with_filters(folder, "length"), tmp_path / "out", order="curriculum")
    assert refused.value.reason == "no_pass_rates"
