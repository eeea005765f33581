"""Preference: the student learns to hold a right answer likelier than a wrong one to the same prompt.

Rafailov et al. 2023, "Direct Preference Optimization" (arXiv:2305.18290). Of each pair, chosen c and rejected r, with q
the student and q0 the student before this training, the loss is

    -log sigmoid(beta * (log q(c)/q0(c) - log q(r)/q0(r)))

Pairs are a kept and a rejected answer to one prompt, both of them the version's. It is a second step: start from a
student that `sft` has trained (`--student runs/RUN/student`). TRL's DPOTrainer does the work.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from filters.pairs import WORSE
from trainer.config import FINE_RATE_FACTOR, Training
from trainer.dataset import Folder
from trainer.errors import TrainerError
from trainer.loop import adapters, train_with
from trainer.supervisor import Supervisor


class Config(Training):
    """Settings of a training on preferences."""

    rate_factor: ClassVar[float] = FINE_RATE_FACTOR

    beta: PositiveFloat = 0.1
    """How much a pair counts for what the student was before; the larger, the nearer it stays."""
    pairs_per_prompt: PositiveInt = 4
    """At most; prompts with many wrong answers would else be most of the data."""
    worse: Annotated[tuple[Literal[WORSE], ...], Field(min_length=1)] = ("verified",)  # pyright: ignore[reportInvalidTypeForm]
    """Filters whose rejections are the worse answers. Of others nobody said that the answer is bad."""

    @model_validator(mode="after")
    def _order_known(self) -> Self:
        if self.order == "similar_lengths":
            raise ValueError("`order: similar_lengths` sorts rows, and a pair has two of them: take `shuffled`")
        return self


def train(config: Config, folder: Folder, out: Path, supervisor: Supervisor) -> Path:
    """Train and return the student's folder.

    Raises what `trainer.loop.train_with` and `trainer.pairs.pair_up` do, and TrainerError `no_pairs`.
    """
    return train_with(
        lambda prepared: _trainer(config, prepared, folder, out, supervisor), config, folder, out, supervisor
    )


def _trainer(config: Config, prepared: Any, folder: Folder, out: Path, supervisor: Supervisor) -> Any:
    from trainer.pairs import pair_up

    found = pair_up(config, prepared, prepared.rows, folder, "train", out)
    if not len(found.pairs):
        raise TrainerError(
            "no_pairs",
            f"no prompt of {folder.name}'s train split has both a kept answer and one that {', '.join(config.worse)} "
            "rejected. Ask for several answers to each prompt (`retort submit -n 4`), curate with a filter that tells "
            "right from wrong, or let other filters' rejections count, too (`worse`)",
        )
    held_out = prepared.held_out and pair_up(config, prepared, prepared.held_out, folder, "eval", out).pairs
    told = {"pairs": len(found.pairs), "pairs_unfit": found.unfit}
    prepared.more["details"] = told
    supervisor.emit("pairs", **told, eval=len(held_out or ()))

    from trl import DPOConfig  # pyright: ignore[reportPrivateImportUsage] - trl exports lazily

    from trainer.preference_trainer import PreferenceTrainer
    from trainer.prepare import arguments

    held_out = held_out if held_out else None
    counted = replace(prepared, rows=found.pairs, held_out=held_out, tokens_max=found.tokens_max)
    return PreferenceTrainer(
        model=str(prepared.base.path),
        # Pairs come as tokens and all fit, so that TRL has nothing to tokenise or cut.
        args=DPOConfig(**arguments(config, counted, out / "checkpoints"), beta=config.beta, max_length=None),
        train_dataset=found.pairs,
        eval_dataset=held_out,
        processing_class=prepared.tokenizer,
        peft_config=adapters(config),
    )
