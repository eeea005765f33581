"""TRL's DistillationTrainer on prompts that are tokens already."""

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch.utils.data import Sampler
from trl import DistillationTrainer  # pyright: ignore[reportPrivateImportUsage] - trl exports lazily


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


class OnPolicyTrainer(DistillationTrainer):
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
