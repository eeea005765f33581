"""What every training goes through: prepare, go on from the last checkpoint, train, save the student."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer import hardware
from trainer.checkpoints import last_complete, step_of
from trainer.config import Training
from trainer.dataset import Folder
from trainer.errors import Interrupted, TrainerError
from trainer.naming import student_name
from trainer.supervisor import Supervisor

if TYPE_CHECKING:
    from trainer.prepare import Prepared

Build = Callable[["Prepared"], Any]
"""Makes a method's TRL trainer of what was prepared."""


def train_with(build: Build, config: Training, folder: Folder, out: Path, supervisor: Supervisor) -> Path:
    """Train and return the student's folder, `out/student`; at once if it is there, from the last checkpoint if any.

    Raises TrainerError with a reason of `trainer.base`, `trainer.dialect`, `trainer.render`, `trainer.prepare` or
    `build`, or `out_of_memory`, `diverged`; Interrupted once a checkpoint is saved.
    """
    if (out / "student").exists():
        return out / "student"
    from transformers.trainer_callback import PrinterCallback

    from trainer.finish import finish
    from trainer.prepare import prepare
    from trainer.progress import Progress
    from trainer.watch import watch

    hardware.use_all_cores()
    prepared = prepare(config, folder, out, supervisor)
    watching = watch(config, folder, prepared, supervisor)
    trainer = build(prepared)
    taught_by = [teacher.license for teacher in folder.manifest.teachers]
    taught_by += [teacher["license"] for teacher in prepared.more.get("teachers", [])]
    prepared.more["name"] = student_name(config, folder, [*taught_by, prepared.base.license or ""])
    trainer.add_callback(Progress(supervisor))
    if watching is not None:
        trainer.add_callback(watching)
    trainer.remove_callback(PrinterCallback)  # it writes to stdout, which is the events' alone
    checkpoint = last_complete(out / "checkpoints")
    began = time.monotonic()
    run_trainer(trainer, checkpoint, supervisor)
    return finish(
        config,
        trainer,
        prepared,
        out,
        train_s=time.monotonic() - began,
        resumed_from_step=step_of(checkpoint) if checkpoint else None,
    )


def adapters(config: Training) -> Any:
    """Return PEFT's settings for the matrices of `config.lora`, None where all weights are trained."""
    if config.lora is None:
        return None
    from peft import LoraConfig

    lora = config.lora
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # pyright: ignore[reportArgumentType] - stated as int, used as a factor
        lora_dropout=lora.dropout,
        target_modules=lora.target,
        task_type="CAUSAL_LM",
    )


def run_trainer(trainer: Any, checkpoint: Path | None, supervisor: Supervisor) -> None:
    """Train to the end. Raises TrainerError `out_of_memory`, and Interrupted once a checkpoint is saved."""
    import torch

    try:
        with supervisor.deferring():
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not _is_of_memory(error):
            raise
        told = (str(error) or "The memory of this machine is used up.").splitlines()[0]
        raise TrainerError(
            "out_of_memory",
            f"{told} Halve `batch_size` and double `gradient_accumulation` (the same training), "
            "switch on `gradient_checkpointing`, or train with `lora`",
        ) from error
    if supervisor.stop_asked and trainer.state.global_step < trainer.state.max_steps:
        raise Interrupted(f"saved after step {trainer.state.global_step} of {trainer.state.max_steps}")


def _is_of_memory(error: Exception) -> bool:
    """Tell whether memory is what was missing; on a CPU torch says so in words alone."""
    import torch

    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
