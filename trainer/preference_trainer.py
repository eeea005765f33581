"""TRL's DPOTrainer on pairs that are tokens already."""

from typing import Any

from trl import DPOTrainer  # pyright: ignore[reportPrivateImportUsage] - trl exports lazily


class PreferenceTrainer(DPOTrainer):
    """Takes pairs as `trainer.pairs` made them: columns `prompt_ids`, `chosen_ids`, `rejected_ids`, TRL's own."""

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:
        return dataset
