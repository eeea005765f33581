"""Soft labels: the student learns the teacher's whole distribution over each token, not only the token it chose.

Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network" (arXiv:1503.02531). For a token whose soft
label is known the loss is

    alpha * T^2 * KL(p_T || q_T) + (1 - alpha) * CE(chosen token)

with p_T and q_T the distributions of teacher and student at temperature T. T^2 keeps the gradient of the first term as
large as it is at T = 1 (section 2 of the paper). Tokens without one, such as those a chat template adds, have the
cross-entropy alone.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from trainer.config import Training
from trainer.dataset import Folder
from trainer.errors import TrainerError
from trainer.loop import adapters, train_with
from trainer.supervisor import Supervisor


class Config(Training):
    """Settings of a training on soft labels."""

    temperature: PositiveFloat = 2.0
    """Flattens both distributions: more of what the teacher held possible counts."""
    alpha: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Weight of the soft label; the rest is the chosen token's. The paper found a low weight of the latter best."""
    tail: Literal["zero", "bucket"] = "zero"
    """What becomes of the probability outside the k entries kept. zero: none, the k are scaled up to 1. bucket: all
    other tokens count as one. At another temperature than 1 the size of that bucket is not known, so it needs 1."""

    @model_validator(mode="after")
    def _bucket_at_one(self) -> Self:
        if self.tail == "bucket" and self.temperature != 1:
            raise ValueError(
                f"`tail: bucket` needs `temperature: 1`, found {self.temperature:g}: how the probability outside the "
                "kept entries spreads at another temperature is not stored"
            )
        return self


def train(config: Config, folder: Folder, out: Path, supervisor: Supervisor) -> Path:
    """Train and return the student's folder.

    Raises what `trainer.loop.train_with` does, and TrainerError `no_soft_labels`, `tokenizer_mismatch`.
    """
    if folder.manifest.soft_labels is None:
        raise TrainerError(
            "no_soft_labels",
            f"{folder.name} holds no soft labels. Ask for them with the prompts (`retort submit --top-logprobs 8`) or "
            "add them to answers that are there (`retort soft-labels BATCH --top-logprobs 8`), and curate once more",
        )
    return train_with(
        lambda prepared: _trainer(config, prepared, folder, out, supervisor), config, folder, out, supervisor
    )


def _trainer(config: Config, prepared: Any, folder: Folder, out: Path, supervisor: Supervisor) -> Any:
    from trl import SFTConfig  # pyright: ignore[reportPrivateImportUsage] - trl exports lazily

    from trainer.prepare import arguments
    from trainer.soft_loss import SoftCollator, SoftLabelTrainer
    from trainer.soft_rows import with_soft_labels

    rows, matched = with_soft_labels(prepared.rows, folder, "train", out / "cache")
    held_out = prepared.held_out
    if held_out is not None:
        held_out, _ = with_soft_labels(held_out, folder, "eval", out / "cache")
    supervisor.emit("soft_labels", **matched.told())
    matched.check(folder.name)
    prepared.tokenizer.pad_token = prepared.tokenizer.pad_token or prepared.tokenizer.eos_token
    columns = ["input_ids", "labels", "soft_ids", "soft_logprobs"]
    return SoftLabelTrainer(
        config,
        model=str(prepared.base.path),
        # Columns that the model does not take are the collator's.
        args=SFTConfig(
            **arguments(config, prepared, out / "checkpoints"),
            max_length=None,
            remove_unused_columns=False,
            eos_token=config.eos_token,
        ),
        data_collator=SoftCollator(prepared.tokenizer.pad_token_id),
        train_dataset=rows.select_columns(columns),
        eval_dataset=held_out and held_out.select_columns(columns),
        processing_class=prepared.tokenizer,
        peft_config=adapters(config),
    )
