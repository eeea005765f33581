"""TRL's DistillationTrainer and ServerDistillationTrainer on prompts that are tokens already."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from torch.utils.data import Sampler
from trl import DistillationConfig, DistillationTrainer  # pyright: ignore[reportPrivateImportUsage] - exported lazily
from trl.experimental.server_distillation import ServerDistillationConfig, ServerDistillationTrainer

from trainer.served_teacher import ServedTeacher


def with_model(teacher: Path, shared: dict[str, Any], rest: dict[str, Any]) -> DistillationTrainer:
    """Make a trainer whose teacher is held in memory; `shared` goes into TRL's config, `rest` to its trainer."""
    half = "bfloat16" if shared["bf16"] else "float32"
    kwargs = shared["model_init_kwargs"] | {"dtype": half}
    return OnPolicyTrainer(
        teacher_model=str(teacher), args=DistillationConfig(**shared, teacher_model_init_kwargs=kwargs), **rest
    )


def with_server(
    teacher: ServedTeacher, entries: int, shared: dict[str, Any], rest: dict[str, Any]
) -> DistillationTrainer:
    """Make a trainer whose teacher is asked for so many `entries` at each place of the student's answers."""
    args = ServerDistillationConfig(**shared, teacher_model_server_url=teacher.base_url, loss_top_k=entries)
    return ServedOnPolicyTrainer(teacher, args, rest)


class EpochSampler(Sampler[int]):
    """Draws each epoch's order from the seed and the epoch's number.

    TRL's own sampler draws one order after the other, so that a run which goes on in its second epoch would begin with
    the order of the first.
    """

    def __init__(self, sampler: Any) -> None:
        self._sampler, self._epoch = sampler, 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next; accelerate does."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        self._sampler.generator.manual_seed(self._sampler.seed + self._epoch)
        return iter(self._sampler)

    def __len__(self) -> int:
        return len(self._sampler)


class _OfTokens(DistillationTrainer):
    """Takes prompts as `trainer.render` made them: TRL would render messages anew, and Parquet's nulls with them."""

    def _tokenize_prompts(self, prompts: list[list[int]]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return prompts, None, {}

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Measure the loss. Replies are sampled: what is drawn here must not change what the next step draws."""
        with torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else []):
            return super().evaluate(*args, **kwargs)

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        sampler = cast("Any", super()._get_train_sampler(dataset))  # TRL's own, which its types do not tell
        return EpochSampler(sampler) if sampler.shuffle else sampler


class OnPolicyTrainer(_OfTokens):
    """With the teacher in memory."""


class ServedOnPolicyTrainer(_OfTokens, ServerDistillationTrainer):
    """With the teacher on a server."""

    def __init__(self, teacher: ServedTeacher, args: ServerDistillationConfig, rest: dict[str, Any]) -> None:
        # What ServerDistillationTrainer does, with a client of ours in place of the one it would make.
        DistillationTrainer.__init__(self, teacher_model=None, args=args, **rest)
        self.reverse_kl_top_1_mode = args.reverse_kl_top_1_mode
        self.loss_top_k = args.loss_top_k
        self.loss_add_tail = args.loss_add_tail
        self.teacher_client = teacher
