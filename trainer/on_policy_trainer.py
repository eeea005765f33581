"""TRL's DistillationTrainer on prompts that are tokens already."""

from typing import Any

from trl import DistillationTrainer  # pyright: ignore[reportPrivateImportUsage] - trl exports lazily


class OnPolicyTrainer(DistillationTrainer):
    """Takes prompts as `trainer.render` made them: TRL would render messages anew, and Parquet's nulls with them."""

    def _tokenize_prompts(self, prompts: list[list[int]]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return prompts, None, {}
