"""Supervised fine-tuning on the teacher's traces: TRL's SFTTrainer, its loss on the reply alone."""

from pathlib import Path
from typing import Any

from trainer import hardware
from trainer.config import Training
from trainer.dataset import Folder
from trainer.loop import adapters, train_with
from trainer.supervisor import Supervisor

PACKED_TOKENS = 4096
"""Length of a packed row, unless a row of the data is longer or the student has fewer positions."""


class Config(Training):
    """Settings of a supervised fine-tuning."""

    packing: bool = False
    """Put several rows into one without padding between them (TRL's `bfd`): faster where lengths differ and
    `attn_implementation` is FlashAttention. With any other the batch becomes one long sequence: right, but slow."""


def train(config: Config, folder: Folder, out: Path, supervisor: Supervisor) -> Path:
    """Train and return the student's folder. Raises what `trainer.loop.train_with` does."""
    return train_with(lambda prepared: build(config, prepared, out / "checkpoints"), config, folder, out, supervisor)


def build(config: Config, prepared: Any, checkpoints: Path) -> Any:
    """Return TRL's trainer for what was prepared."""
    from trl import SFTConfig, SFTTrainer  # pyright: ignore[reportPrivateImportUsage] - trl exports lazily

    from trainer.cpu import CpuSFTTrainer
    from trainer.prepare import arguments

    packed = max(
        prepared.tokens_max, config.max_length or min(prepared.base.positions_max or PACKED_TOKENS, PACKED_TOKENS)
    )
    columns = ["input_ids", "labels"]
    return (SFTTrainer if hardware.has_accelerator() else CpuSFTTrainer)(
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
        peft_config=adapters(config),
    )
