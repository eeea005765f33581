"""From a dataset folder and a base to what a trainer needs: checked base, tokens, and the length they all fit in."""

import json
import os
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer import curriculum, dataset, hardware
from trainer.base import Base, count_parameters, find_base, load_tokenizer, stop_tokens
from trainer.config import Training, pick_learning_rate
from trainer.dialect import Dialect, find_dialect
from trainer.errors import TrainerError
from trainer.render import Renderer, render
from trainer.supervisor import Supervisor, is_main_process
from trainer.unfit import RejectedWriter, find_unfit, keep_unfit, refusal

if TYPE_CHECKING:
    from datasets import Dataset

SAMPLING = {
    "shuffled": "random",
    "similar_lengths": "group_by_length",
    "as_exported": "sequential",
    "short_first": "sequential",
    "curriculum": "sequential",
}
"""How transformers' Trainer calls the orders."""
SPLITS: tuple[dataset.Split, ...] = ("train", "eval")
"""What goes through the student's chat template: to learn from, and to measure the loss on."""
LOG_STEPS_MAX = 10
"""TRL's default; short runs log a hundred times."""
SAVE_STEPS_MAX = 500
"""transformers' default; short runs save four times."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that is settled before the first step."""

    base: Base
    parameters: int
    tokenizer: Any
    dialect: Dialect
    rows: "Dataset"
    """Columns `id`, `input_ids`, `labels`, `tokens`, `reply_tokens`."""
    held_out: "Dataset | None"
    """The same of the eval split, to measure the loss on."""
    dropped: int
    tokens_max: int
    """Every row fits in it whole."""
    more: dict[str, Any] = field(default_factory=dict)
    """Fields of `training.json` that the method itself has to fill."""


def prepare(config: Training, folder: dataset.Folder, out: Path, supervisor: Supervisor) -> Prepared:
    """Check the base, render every row and emit `rendered`. Writes `out/cache` and perhaps `out/rejected.parquet`.

    Raises TrainerError as `trainer.base`, `trainer.dialect` and `trainer.curriculum` do, and one of `trainer.unfit`'s
    reasons.
    """
    # First, since it may refuse and takes no time.
    rates = curriculum.pass_rates(folder) if config.order == "curriculum" else {}
    _in_four_bits(config, "fp32")
    base = find_base(config.student, config.revision)
    tokenizer = load_tokenizer(base.path, config.chat_template, config.eos_token)
    dialect = find_dialect(tokenizer, config.completion)
    renderer = Renderer(tokenizer, dialect, stop_tokens(base.path, tokenizer))
    key = json.dumps([folder.manifest.sha256, base.name, base.commit, config.model_dump()], sort_keys=True)
    splits: dict[dataset.Split, Dataset] = {
        split: render(_load(folder, split, out), renderer, f"{split} {key}") for split in SPLITS if folder.files(split)
    }
    tokens_max = min([max(splits["train"]["tokens"]), *tokens_limits(config, base)])
    fit, dropped = _fit(config, folder, splits, tokens_max, out)
    rows, held_out = fit["train"], fit.get("eval")
    supervisor.emit(
        "rendered",
        rows=len(rows),
        dropped=dropped,
        tokens=sum(rows["tokens"]),
        tokens_longest=max(rows["tokens"]),
        reasoning_key=dialect.key,
    )
    return Prepared(
        base=base,
        parameters=count_parameters(base),
        tokenizer=tokenizer,
        dialect=dialect,
        rows=_ordered(rows, config.order, rates),
        held_out=held_out if held_out is not None and len(held_out) else None,
        dropped=dropped,
        tokens_max=tokens_max,
    )


def tokens_limits(config: Training, base: Base) -> list[int]:
    """Return what limits the tokens of a row: the setting and the student's positions, as far as they are known."""
    return [limit for limit in (config.max_length, base.positions_max) if limit]


def arguments(config: Training, prepared: Prepared, checkpoints: Path) -> dict[str, Any]:
    """Return what every TRL trainer is told in the same words: its `…Config`'s arguments.

    Raises TrainerError `several_devices` where one process sees several.
    """
    import torch

    on_cpu = not hardware.has_accelerator()
    if not on_cpu and torch.accelerator.device_count() > 1 and "LOCAL_RANK" not in os.environ:
        raise TrainerError(
            "several_devices",
            f"{torch.accelerator.device_count()} devices are visible to one process. Start one process for each "
            "(`torchrun --nproc-per-node N -m trainer …`), or show it a single one (CUDA_VISIBLE_DEVICES=0)",
        )
    precision = hardware.pick_precision(config.precision)
    rows_per_step = config.batch_size * config.gradient_accumulation * int(os.environ.get("WORLD_SIZE", "1"))
    steps = config.max_steps or int(config.epochs * len(prepared.rows) / rows_per_step)
    return {
        "output_dir": str(checkpoints),
        "num_train_epochs": config.epochs,
        "max_steps": config.max_steps or -1,
        "per_device_train_batch_size": config.batch_size,
        "per_device_eval_batch_size": config.batch_size,
        "gradient_accumulation_steps": config.gradient_accumulation,
        "learning_rate": config.learning_rate_multiplier
        * pick_learning_rate(
            config.learning_rate, prepared.parameters, lora=config.lora is not None, factor=config.rate_factor
        ),
        "lr_scheduler_type": config.schedule,
        "warmup_steps": config.warmup,
        "weight_decay": config.weight_decay,
        "train_sampling_strategy": SAMPLING[config.order],
        "seed": config.seed,
        "bf16": precision == "bf16",
        "use_cpu": on_cpu,
        "gradient_checkpointing": hardware.checkpoints_activations(config.gradient_checkpointing, prepared.parameters),
        "model_init_kwargs": {
            "attn_implementation": hardware.pick_attention(config.attn_implementation, prepared.tokens_max),
            # The optimizer needs the weights it trains in fp32; those that LoRA leaves alone do well in half of it.
            "dtype": "bfloat16" if config.lora and precision == "bf16" else "float32",
            "use_safetensors": True,
            **_in_four_bits(config, precision),
        },
        "eval_strategy": "no" if prepared.held_out is None else "epoch",
        "save_strategy": "steps",
        "save_steps": config.save_steps or max(1, min(SAVE_STEPS_MAX, steps // 4)),
        "save_total_limit": 2,
        "logging_steps": max(1, min(LOG_STEPS_MAX, steps // 100)),
        "logging_nan_inf_filter": False,
        "include_num_input_tokens_seen": "non_padding",
        "disable_tqdm": True,
        "report_to": "none",
    }


def _in_four_bits(config: Training, precision: hardware.Precision) -> dict[str, Any]:
    wanted = config.lora is not None and config.lora.base_in_4bit
    return {"quantization_config": hardware.four_bits(precision)} if wanted else {}


def _fit(
    config: Training, folder: dataset.Folder, splits: "dict[dataset.Split, Dataset]", tokens_max: int, out: Path
) -> "tuple[dict[dataset.Split, Dataset], int]":
    """Return the rows that can be trained on, and how many of those to train on were set aside."""
    unfit = {split: find_unfit(rows, tokens_max) for split, rows in splits.items()}
    to_train = unfit["train"]
    # A row that only the loss cannot be measured on is no reason to stop.
    if to_train and config.on_unfit == "refuse":
        ids = splits["train"]["id"]
        raise refusal({ids[place]: found for place, found in to_train.items()}, len(splits["train"]), tokens_max)
    target = out / "rejected.parquet"
    if is_main_process():
        with RejectedWriter(target) as writer:
            for split in splits:
                keep_unfit(writer, folder.files(split), unfit[split], split)
    if len(to_train) == len(splits["train"]):
        told = Counter(found.reason for found in to_train.values()).most_common()
        reasons = ", ".join(f"{count} {reason}" for reason, count in told)
        raise TrainerError("no_training_rows", f"no row of {folder.name} fits this student ({reasons}): see {target}")
    return {split: _without(rows, unfit[split]) for split, rows in splits.items()}, len(to_train)


def _without(rows: "Dataset", unfit: Collection[int]) -> "Dataset":
    fit = rows.select([place for place in range(len(rows)) if place not in unfit]) if unfit else rows
    return fit.remove_columns(["problems", "detail"])


def _ordered(rows: "Dataset", order: str, rates: Mapping[int, Fraction]) -> "Dataset":
    tokens = list(rows["tokens"])
    if order == "short_first":
        return rows.select(sorted(range(len(tokens)), key=tokens.__getitem__))
    if order == "curriculum":
        return rows.select(curriculum.order(list(rows["id"]), tokens, rates))
    return rows


def _load(folder: dataset.Folder, split: dataset.Split, out: Path) -> "Dataset":
    from datasets import load_dataset

    # Only what training needs, memory-mapped, so that long traces cost no memory.
    return load_dataset(
        "parquet",
        data_files=[str(file) for file in folder.files(split)],
        split="train",
        columns=list(dataset.COLUMNS),
        cache_dir=str(out / "cache"),
    )
