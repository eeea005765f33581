"""The gate before a training: what a student would read of every row of a version."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.trainer.families import conversations, make_family
from tests.trainer.tiny import make_row
from trainer.dataset import open_folder
from trainer.errors import TrainerError
from trainer.gate import refuse_unfit, rehearse
from trainer.prepare import prepare
from trainer.rendering import Rendering
from trainer.sft import Config
from trainer.supervisor import Supervisor

Build = Callable[..., Path]


def rendering(student: Path, folder: Path, out: Path | None = None, **knobs: Any) -> Rendering:
    return rehearse(Config(student=str(student), **knobs), folder, out, Supervisor())


def roomy(student: Path, folder: Path) -> Path:
    """The student with positions for 32,768 tokens."""
    config = json.loads((student / "config.json").read_bytes()) | {"max_position_embeddings": 32_768}
    shutil.copytree(student, folder / "roomy")
    (folder / "roomy" / "config.json").write_text(json.dumps(config))
    return folder / "roomy"


def bytes_of(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_row_is_counted(student: Path, dataset: Build) -> None:
    rows = [make_row(number, reasoning="" if number == 2 else "She counts. " * number) for number in range(1, 21)]
    found = rendering(student, dataset(rows))
    assert (found.fit, found.max_length, found.reasoning_key) == (True, 512, "reasoning_content")
    train = found.splits["train"]
    assert (train.rows, train.fit, train.problems) == (20, 20, {})
    assert train.reasoning.model_dump() == {"kept": 19, "lost": 0, "left_out": 0, "none": 1}
    assert 0 < train.tokens.p50 < train.tokens.p95 < train.tokens.max <= 512
    assert train.reply_tokens.total < train.tokens.total
    assert found.splits["eval"].rows == 8


def test_a_trace_of_9000_tokens_under_a_length_of_1024_is_refused_and_not_cut(
    student: Path, dataset: Build, tmp_path: Path
) -> None:
    folder = dataset([make_row(1), make_row(3, reasoning="7 " * 4480)])
    before = bytes_of(folder)
    config, out = Config(student=str(roomy(student, tmp_path)), max_length=1024), tmp_path / "out"
    found = rehearse(config, folder, out, Supervisor())
    train = found.splits["train"]
    assert (found.max_length, train.problems, train.over_trl_default) == (1024, {"would_be_cut": 1}, 1)
    assert train.tokens.max >= 9000
    with pytest.raises(TrainerError, match="1 of 2 rows of tiny-sums@3 cannot be trained on"):
        refuse_unfit(found, config)
    with pytest.raises(TrainerError, match="1 of 2 rows are longer than 1024 tokens and would lose their end"):
        prepare(config, open_folder(folder), out, Supervisor())
    assert Rendering.model_validate_json((out / "render.json").read_bytes()) == found
    (rejected,) = pq.read_table(out / "rejected.parquet").to_pylist()
    assert (rejected["reason"], rejected["split"], rejected["reasoning"]) == ("would_be_cut", "train", "7 " * 4480)
    assert bytes_of(folder) == before


def test_rows_to_be_set_aside_are_no_reason_to_refuse_unless_they_are_all(student: Path, dataset: Build) -> None:
    config = Config(student=str(student), max_length=60, on_unfit="drop_to_rejected")
    some = rehearse(config, dataset([make_row(1, reasoning=""), make_row(3)]), None, Supervisor())
    assert (some.fit, some.splits["train"].fit) == (False, 1)
    refuse_unfit(some, config)
    with pytest.raises(TrainerError, match="1 of 2 rows"):
        refuse_unfit(some, config.model_copy(update={"on_unfit": "refuse"}))
    every = rehearse(config, dataset([make_row(3)]), None, Supervisor())
    with pytest.raises(TrainerError, match="1 of 1 rows"):
        refuse_unfit(every, config)


def test_a_template_that_drops_reasoning_shows_in_which_rows(student: Path, dataset: Build, tmp_path: Path) -> None:
    path = make_family(student, "r1_distill", tmp_path / "r1")
    found = rendering(path, dataset(conversations()), tmp_path / "out")
    train = found.splits["train"]
    assert (found.reasoning_key, train.fit) == (None, 0)
    assert train.reasoning.model_dump() == {"kept": 0, "lost": 6, "left_out": 0, "none": 2}
    assert "answer_only" in found.problems["reasoning_lost"].remedy
    silent = rendering(path, dataset(conversations()), completion="answer_only").splits["train"]
    assert silent.reasoning.left_out == 6


def test_nothing_is_written_into_a_sealed_folder(student: Path, dataset: Build) -> None:
    folder = dataset()
    with pytest.raises(TrainerError, match="sealed") as refused:
        rendering(student, folder, folder / "render")
    assert refused.value.reason == "out_in_dataset"


def test_the_rejected_rows_of_an_earlier_rendering_do_not_stay(student: Path, dataset: Build, tmp_path: Path) -> None:
    folder, out = dataset([make_row(1), make_row(3)]), tmp_path / "out"
    assert not rendering(student, folder, out, max_length=20).fit
    assert (out / "rejected.parquet").exists()
    assert rendering(student, folder, out).fit
    assert sorted(path.name for path in out.iterdir()) == ["render.json"]


def test_a_training_sets_aside_a_row_whose_rendering_is_wrong(student: Path, dataset: Build, tmp_path: Path) -> None:
    bad = make_row(77, response="The turn ends with <|im_end|> here, and the answer goes on: 63.")
    config = Config(student=str(student), on_unfit="drop_to_rejected")
    ready = prepare(config, open_folder(dataset([make_row(1), bad])), tmp_path, Supervisor())
    assert list(ready.rows["id"]) == [1]
    (rejected,) = pq.read_table(tmp_path / "rejected.parquet").to_pylist()
    assert (rejected["id"], rejected["reason"], rejected["split"]) == (77, "stops_early", "train")
