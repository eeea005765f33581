"""Training on preferences: which pairs, their tokens beside TRL's own, and a run for real."""

from pathlib import Path
from typing import Any

import pytest

from filters.pairs import by_prompt, pairs
from tests.trainer.process import start
from tests.trainer.tiny import make_row, write_dataset
from trainer.dataset import open_folder
from trainer.errors import TrainerError
from trainer.pairs import pair_up
from trainer.preference import Config, train
from trainer.prepare import prepare
from trainer.supervisor import Supervisor


def wrong(number: int, *, id: int, split: str = "train", filter: str = "verified", **changes: Any) -> dict[str, Any]:
    row = make_row(number, response="It is \\boxed{0}.", **changes)
    return row | {"id": id, "filter": filter, "reason": "wrong_answer", "split": split}


def write(folder: Path, *more: dict[str, Any]) -> Path:
    """Eight prompts with one right answer each, to half of them two wrong ones; one such pair in the eval split."""
    rejected = [wrong(number, id=1000 + 10 * number + turn) for number in range(4) for turn in range(2)]
    rejected += [wrong(99, id=5000, split="eval"), wrong(200, id=6000, split="test"), *more]
    return write_dataset(folder, [make_row(n) for n in range(8)], [make_row(99)], [make_row(200)], rejected)


@pytest.mark.train
def test_a_run_learns_to_prefer_the_right_answer(tmp_path: Path, student: Path) -> None:
    knobs = ["max_steps=6", "batch_size=4", "gradient_accumulation=1", "learning_rate=0.003", "save_steps=3"]
    knobs += ["beta=0.5", "evaluation.prompts_max=1", "evaluation.tokens_max=4", "evaluation.base=false"]
    changes = [part for knob in knobs for part in ("--set", knob)]
    dataset = write(tmp_path / "dataset")
    run = start(tmp_path, "preference", dataset, "--student", student, "--out", tmp_path / "run", *changes)
    assert run.wait() == 0, run.stderr.read_text()
    told = {event["event"]: event for event in run.events()}
    assert {name: told["pairs"][name] for name in ("pairs", "pairs_unfit", "eval")} == {
        "pairs": 8,
        "pairs_unfit": 0,
        "eval": 1,
    }
    steps = [event for event in run.events() if event["event"] == "step"]
    assert steps[0]["loss"] == pytest.approx(0.6931, abs=1e-3), "log 2: it is still what it was"
    assert steps[-1]["loss"] < steps[0]["loss"]
    assert steps[-1]["preferred"] == 1.0
    assert told["step"]["tokens"] > 0
    assert told["eval_loss"]["margin"] is not None


@pytest.mark.train
def test_the_tokens_of_a_pair_are_those_that_trl_makes_of_it(tmp_path: Path, student: Path) -> None:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer  # pyright: ignore[reportPrivateImportUsage]

    folder, out = open_folder(write(tmp_path / "dataset")), tmp_path / "run"
    config = Config(student=str(student), pairs_per_prompt=1)
    prepared = prepare(config, folder, out, Supervisor())
    found = pair_up(config, prepared, prepared.rows, folder, "train", out).pairs
    texts = [
        {
            "prompt": make_row(number)["prompt"],
            "chosen": make_row(number)["completion"],
            "rejected": wrong(number, id=0)["completion"],
        }
        for number in range(4)
    ]
    trainer = DPOTrainer(
        str(student),
        args=DPOConfig(str(tmp_path / "trl"), report_to="none", use_cpu=True, bf16=False, max_length=None),
        train_dataset=Dataset.from_list(texts),
        processing_class=prepared.tokenizer,
    )
    theirs: Any = trainer.train_dataset
    for name in ("prompt_ids", "chosen_ids", "rejected_ids"):
        assert list(found[name]) == list(theirs[name])


def refused(dataset: Path, student: Path, out: Path, **knobs: Any) -> TrainerError:
    config = Config.model_validate({"student": str(student)} | knobs)
    with pytest.raises(TrainerError) as error:
        train(config, open_folder(dataset), out, Supervisor())
    return error.value


@pytest.mark.train
def test_a_rejected_answer_that_would_be_cut_is_refused_or_set_aside(tmp_path: Path, student: Path) -> None:
    dataset = write(tmp_path / "dataset", wrong(7, id=7000, reasoning="7 " * 600))
    error = refused(dataset, student, tmp_path / "run")
    assert error.reason == "would_be_cut"
    assert "row 7000 has" in str(error)

    folder, out = open_folder(dataset), tmp_path / "again"
    config = Config(student=str(student), on_unfit="drop_to_rejected")
    prepared = prepare(config, folder, out, Supervisor())
    found = pair_up(config, prepared, prepared.rows, folder, "train", out)
    assert (len(found.pairs), found.unfit) == (8, 1)


@pytest.mark.train
def test_without_pairs_the_refusal_says_what_to_do(tmp_path: Path, student: Path) -> None:
    error = refused(write(tmp_path / "dataset"), student, tmp_path / "run", worse=["format"])
    assert error.reason == "no_pairs"
    assert "`retort submit -n 4`" in str(error)


def test_a_filter_whose_rejection_says_nothing_about_quality_makes_no_pairs() -> None:
    with pytest.raises(ValueError, match="verified"):
        Config.model_validate({"student": "x", "worse": ["near_duplicate"]})


def test_every_answer_is_paired_and_the_shorter_side_comes_again() -> None:
    assert list(pairs(["a"], ["x", "y", "z"], 2)) == [("a", "x"), ("a", "y")]
    assert list(pairs(["a", "b"], ["x", "y", "z"], 9)) == [("a", "x"), ("b", "y"), ("a", "z")]


def test_prompts_with_both_sides_are_found_in_their_order() -> None:
    def rows(*prompts: int) -> list[dict[str, Any]]:
        return [{"batch": "one", "prompt_id": prompt} for prompt in prompts]

    found = by_prompt(rows(1, 1, 3, 4), rows(2, 3, 3, 5), {"one": 0})
    assert [(len(kept), len(worse), kept[0]["prompt_id"]) for kept, worse in found] == [(1, 2, 3)]
    with pytest.raises(ValueError, match="not in the order of prompts"):
        list(by_prompt(rows(3, 1), rows(), {"one": 0}))
