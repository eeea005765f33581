"""A teacher on this machine that is only asked what it holds likely, and teaches nothing."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainer import hardware
from trainer.base import Base, find_teacher, load_model, same_vocabulary
from trainer.config import Training

ENTRIES = 128
"""Likeliest tokens kept of each distribution: of vocabularies in the hundred thousands they hold nearly all."""


def named_teacher(config: Training) -> str | None:
    """Return the local teacher that the settings name: `evaluation.teacher`, else the method's own if it is here."""
    elsewhere = getattr(config, "teacher_server", None) is not None
    return config.evaluation.teacher or (None if elsewhere else getattr(config, "teacher", None))


@contextmanager
def opened(name: str, config: Training, student: Base, tokenizer: Any) -> Iterator[Any]:
    """Load the teacher for the while of a `with`, and give its memory back.

    Raises TrainerError `tokenizer_mismatch`, or `teacher_…` where it cannot be had.
    """
    import torch

    revision = getattr(config, "teacher_revision", None) if config.evaluation.teacher is None else None
    same_vocabulary(student, tokenizer, name, revision)
    model = load_on_device(find_teacher(name, revision).path)
    try:
        yield model
    finally:
        del model
        gc.collect()
        torch.cuda.empty_cache()


def load_on_device(path: Path) -> Any:
    """Load a model where it is fastest, in half precision where hardware computes in it."""
    import torch

    device = torch.accelerator.current_accelerator() if hardware.has_accelerator() else "cpu"
    dtype = "bfloat16" if hardware.pick_precision("auto") == "bf16" else "float32"
    return load_model(path, dtype, str(device))
