"""Supervised fine-tuning on the teacher's traces: TRL's SFTTrainer, its loss on the reply alone."""

import time
from pathlib import Path
from typing import Any

from trainer import hardware
from trainer.checkpoints import last_complete, step_of
from trainer.config import Training
from trainer.dataset import Folder
from trainer.errors import Interrupted, TrainerError
from trainer.supervisor import Supervisor

PACKED_TOKENS = 4096
"""Length of a packed row, unless a row of the data is longer or the student has fewer positions."""


class Config(Training):
    """Settings of a supervised fine-tuning."""

    packing: bool = False
    """Put several rows into one without padding between them (TRL's `bfd`): faster where lengths differ and
    `attn_implementation` is FlashAttention. With any other the batch becomes one long sequence: right, but slow."""


def train(config: Config, folder: Folder, out: Path, supervisor: Supervisor) -> Path:
    """Train and return the student's folder, `out/student`; at once if it is there, from the last checkpoint if any.

    Raises TrainerError with a reason of `trainer.base`, `trainer.dialect`, `trainer.render` or `trainer.prepare`, or
    `out_of_memory`, `diverged`; Interrupted once a checkpoint is saved.
    """
    if (out / "student").exists():
        return out / "student"
    from trainer.finish import finish
    from trainer.prepare import prepare

    hardware.use_all_cores()
    prepared = prepare(config, folder, out, supervisor)
    trainer = _trainer(config, prepared, out / "checkpoints", supervisor)
    checkpoint = last_complete(out / "checkpoints")
    began = time.monotonic()
    _run(trainer, checkpoint, supervisor)
    return finish(
        config,
        trainer,
        prepared,
        out,
        train_s=time.monotonic() - began,
        resumed_from_step=step_of(checkpoint) if checkpoint else None,
    )


def _trainer(config: Config, prepared: Any, checkpoints: Path, supervisor: Supervisor) -> Any:
    from transformers.trainer_callback import PrinterCallback
    from trl import SFTConfig, SFTTrainer  # pyright: ignore[reportPrivateImportUsage] - trl exports lazily

    from trainer.cpu import CpuSFTTrainer
    from trainer.prepare import arguments
    from trainer.progress import Progress

    packed = max(
        prepared.tokens_max, config.max_length or min(prepared.base.positions_max or PACKED_TOKENS, PACKED_TOKENS)
    )
    columns = ["input_ids", "labels"]
    trainer = (SFTTrainer if hardware.has_accelerator() else CpuSFTTrainer)(
        model=str(prepared.base.path),
        args=SFTConfig(
            **arguments(config, prepared, checkpoints),
            # Rows come as tokens and labels and all fit, so that TRL has nothing to tokenise, mask or cut.
            max_length=packed if config.packing else None,
            packing=config.packing,
            eval_packing=False,
            eos_token=config.eos_token,
        ),
        train_dataset=prepared.rows.select_columns(columns),
        eval_dataset=prepared.held_out and prepared.held_out.select_columns(columns),
        processing_class=prepared.tokenizer,
        peft_config=_lora(config),
        callbacks=[Progress(supervisor)],
    )
    trainer.remove_callback(PrinterCallback)  # it writes to stdout, which is the events' alone
    return trainer


def _run(trainer: Any, checkpoint: Path | None, supervisor: Supervisor) -> None:
    import torch

    try:
        with supervisor.deferring():
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch.OutOfMemoryError as error:
        raise TrainerError(
            "out_of_memory",
            f"{str(error).splitlines()[0]} Halve `batch_size` and double `gradient_accumulation` (the same training), "
            "switch on `gradient_checkpointing`, or train with `lora`",
        ) from error
    if supervisor.stop_asked and trainer.state.global_step < trainer.state.max_steps:
        raise Interrupted(f"saved after step {trainer.state.global_step} of {trainer.state.max_steps}")


def _lora(config: Config) -> Any:
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
