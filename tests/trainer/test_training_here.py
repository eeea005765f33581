"""Trainings for real, in this process: fast, and enough where none has to die."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.tiny import are_equal, make_row, weights_of
from trainer.dataset import open_folder
from trainer.errors import TrainerError
from trainer.loop import run_trainer
from trainer.sft import Config, train
from trainer.supervisor import Supervisor

pytestmark = pytest.mark.train
Build = Callable[..., Path]


def quiet(student: Path, dataset: Path, out: Path, **knobs: Any) -> tuple[Path, list[dict[str, Any]]]:
    """Train in this process; fast, and enough where no process has to die."""
    events: list[dict[str, Any]] = []
    out.mkdir()
    config = Config.model_validate(
        {"student": str(student), "max_steps": 4, "batch_size": 8, "gradient_accumulation": 1} | knobs
    )
    return train(config, open_folder(dataset), out, Supervisor(listener=events.append)), events


def test_lora_is_merged_into_plain_weights(dataset: Build, student: Path, tmp_path: Path) -> None:
    quiet(student, dataset(), tmp_path / "run", lora={"rank": 4}, learning_rate=0.01)
    trained, base = weights_of(tmp_path / "run" / "student"), weights_of(student)
    assert trained.keys() == base.keys()
    assert not are_equal(trained, base)


def test_a_base_in_4_bits_needs_a_gpu(dataset: Build, student: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match="needs an NVIDIA GPU and the package bitsandbytes") as error:
        quiet(student, dataset(), tmp_path / "run", lora={"base_in_4bit": True})
    assert error.value.reason == "no_4bit"


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")]
)
def test_too_little_memory_is_told_with_what_to_do(error: Exception, tmp_path: Path) -> None:
    class Hungry:
        """What TRL's trainer is to `trainer.loop`, on a machine that is too small."""

        def train(self, resume_from_checkpoint: str | None) -> None:
            raise error

    with pytest.raises(TrainerError, match="Halve `batch_size` and double `gradient_accumulation`") as told:
        run_trainer(Hungry(), None, Supervisor())
    assert told.value.reason == "out_of_memory"


def test_packed_rows_learn_what_single_rows_learn(dataset: Build, student: Path, tmp_path: Path) -> None:
    folder = dataset([make_row(number) for number in range(8)])
    _, alone = quiet(student, folder, tmp_path / "alone", max_steps=1)
    _, packed = quiet(student, folder, tmp_path / "packed", max_steps=1, packing=True)
    first, second = (next(e["loss"] for e in events if e["event"] == "step") for events in (alone, packed))
    assert second == pytest.approx(first, abs=1e-3)


def test_a_base_in_half_precision_gives_a_student_in_it(dataset: Build, student: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    half = tmp_path / "half"
    AutoModelForCausalLM.from_pretrained(student, dtype=torch.bfloat16).save_pretrained(half)
    AutoTokenizer.from_pretrained(student).save_pretrained(half)
    quiet(half, dataset(), tmp_path / "run")
    assert {tensor.dtype for tensor in weights_of(tmp_path / "run" / "student").values()} == {torch.bfloat16}


def test_a_training_that_was_done_but_not_saved_is_saved(dataset: Build, student: Path, tmp_path: Path) -> None:
    folder = dataset()
    quiet(student, folder, tmp_path / "run", keep_checkpoints=True, save_steps=2)
    done = weights_of(tmp_path / "run" / "student")
    shutil.rmtree(tmp_path / "run" / "student")
    config = Config(
        student=str(student), max_steps=4, batch_size=8, gradient_accumulation=1, keep_checkpoints=True, save_steps=2
    )
    train(config, open_folder(folder), tmp_path / "run", Supervisor())
    assert are_equal(weights_of(tmp_path / "run" / "student"), done)
