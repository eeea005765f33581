"""On-policy distillation: the student answers, and a teacher says of each of its tokens what it had held likely.

Agarwal et al. 2024, "On-Policy Distillation of Language Models: Learning from Self-Generated Mistakes"
(arXiv:2306.13649). The student learns where it goes itself and not only where the teacher went. With p the teacher's
distribution over the next token, q the student's, and m = beta * p + (1 - beta) * q, the loss of a token is

    beta * KL(p || m) + (1 - beta) * KL(q || m)

and at the ends KL(p || q) for beta = 0, KL(q || p) for beta = 1. The prompts are those of the version's train split;
the answers in it are only rendered, to know how long replies get, and not learnt. TRL's
DistillationTrainer does the work, or its ServerDistillationTrainer where the teacher is on a vLLM server. A server
tells of the likeliest tokens only: all others count as one.
"""

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from trainer.base import Base, find_base, find_teacher, load_tokenizer, same_vocabulary
from trainer.config import FINE_RATE_FACTOR, Training
from trainer.dataset import Folder
from trainer.errors import TrainerError
from trainer.licence import may_teach
from trainer.loop import adapters, train_with
from trainer.supervisor import Supervisor

if TYPE_CHECKING:
    from datasets import Dataset

TOP_K = 20
"""vLLM's own bound unless it is started with another."""


class Config(Training):
    """Settings of an on-policy distillation."""

    rate_factor: ClassVar[float] = FINE_RATE_FACTOR

    teacher: str
    """Folder or hub id of the model that scores, held in memory beside the student. Its tokenizer must be the student's
    own, and its `vocab_size` the same."""
    teacher_server: str | None = None
    """Let a vLLM server score, so that the teacher takes no memory here: the name of a registered teacher, or, where
    the trainer runs by itself, an address (and a key in RETORT_TEACHER_API_KEY). Of `teacher` only tokenizer and
    configuration are then read."""
    teacher_revision: str | None = None
    """Branch, tag or commit on the hub."""
    teacher_license: str | None = None
    """SPDX id, if neither the version's teachers nor the model's own card say it; an unknown one stops the run."""
    beta: Annotated[float, Field(ge=0, le=1)] = 1.0
    """0: forward KL, spread over all that the teacher may say. 1: reverse KL, settle on what it likes best, TRL's
    default. 0.5: between them, the Jensen-Shannon divergence."""
    temperature: PositiveFloat = 1.0
    """At which the student answers, and at which both distributions are compared. With a server, another than 1 needs
    its `--logprobs-mode processed_logprobs`."""
    top_k: PositiveInt | None = None
    """Likeliest tokens that a server tells of each place, up to its `--max-logprobs`; all others count as one. None: 20
    with `beta: 0`. With a larger `beta` it is 1: the token that the student chose, and the teacher's first."""
    reply_tokens_max: PositiveInt | None = None
    """Where a reply is broken off; what is there is learnt from. None: half as much again as the data's longest."""

    @model_validator(mode="after")
    def _order_known(self) -> Self:
        if self.order == "similar_lengths":
            raise ValueError("`order: similar_lengths` sorts by replies, and here there are none yet: take `shuffled`")
        return self

    @model_validator(mode="after")
    def _entries_known(self) -> Self:
        if self.top_k is not None and self.teacher_server is None:
            raise ValueError("`top_k` is for a teacher on a server; one in memory tells all tokens")
        if self.top_k not in (None, 1) and self.beta > 0:
            raise ValueError("`top_k` above 1 needs `beta: 0`: how likely other tokens were is told of the teacher's")
        return self

    @property
    def entries(self) -> int:
        """Return how many tokens a server is asked for at each place."""
        return self.top_k or (TOP_K if self.beta == 0 else 1)


def train(config: Config, folder: Folder, out: Path, supervisor: Supervisor) -> Path:
    """Train and return the student's folder.

    Raises what `trainer.loop.train_with` does, and TrainerError `tokenizer_mismatch`, `licence_blocked`,
    `no_room_to_reply`, `too_few_prompts`, or `teacher_…` where the teacher cannot be had.
    """
    student = find_base(config.student, config.revision)
    tokenizer = load_tokenizer(student.path, config.chat_template, config.eos_token)
    same_vocabulary(student, tokenizer, config.teacher, config.teacher_revision)  # before gigabytes are fetched
    teacher = find_teacher(config.teacher, config.teacher_revision, weights=config.teacher_server is None)
    about = may_teach(teacher, config.teacher_license, student, folder, "teacher_license")

    def build(prepared: Any) -> Any:
        prepared.more.update(about)
        return _trainer(config, prepared, teacher, out / "checkpoints", supervisor)

    return train_with(build, config, folder, out, supervisor)


def _trainer(config: Config, prepared: Any, teacher: Base, checkpoints: Path, supervisor: Supervisor) -> Any:
    prompts = _prompts(prepared.rows)
    _check_enough(config, len(prompts))
    from trainer.generate import limit_reply
    from trainer.on_policy_trainer import with_model, with_server
    from trainer.prepare import arguments

    longest = max(prompts["prompt"], key=len)
    room = config.max_length or prepared.base.positions_max
    reply_max = limit_reply(config.reply_tokens_max, max(prepared.rows["reply_tokens"]), len(longest), room)
    prepared.more["details"] = {"prompts": len(prompts), "reply_tokens_max": reply_max}
    shared = arguments(config, replace(prepared, rows=prompts, tokens_max=len(longest) + reply_max), checkpoints)
    shared |= {
        # It draws batches itself, and counts its tokens, which are there only once the student has answered.
        "train_sampling_strategy": "random",
        "include_num_input_tokens_seen": "no",
        "shuffle_dataset": config.order == "shuffled",
        "beta": config.beta,
        "temperature": config.temperature,
        "max_completion_length": reply_max,
    }
    rest = {
        "model": str(prepared.base.path),
        "train_dataset": prompts,
        "eval_dataset": prepared.held_out and _prompts(prepared.held_out),
        "processing_class": prepared.tokenizer,
        "peft_config": adapters(config),
    }
    supervisor.emit("prompts", prompts=len(prompts), tokens_longest=len(longest), reply_tokens_max=reply_max)
    if config.teacher_server is None:
        return with_model(teacher.path, shared, rest)
    from trainer.served_teacher import open_served

    served = open_served(config.teacher_server, teacher, len(longest) + reply_max)
    served.probe(longest, config.entries, config.temperature)
    return with_server(served, config.entries, shared, rest)


def _prompts(rows: "Dataset") -> "Dataset":
    """Return the column `prompt`, tokens as the student's own template renders them, each prompt once."""
    prompts = rows.map(
        lambda row: {"prompt": row["input_ids"][: row["tokens"] - row["reply_tokens"]]},
        remove_columns=rows.column_names,
        new_fingerprint=f"{rows._fingerprint[:12]}ask",
        load_from_cache_file=False,
        desc="Collecting prompts",
    )
    first: dict[bytes, int] = {}
    for place, prompt in enumerate(prompts["prompt"]):
        first.setdefault(hashlib.sha256(repr(prompt).encode()).digest(), place)
    return prompts.select(list(first.values()))


def _check_enough(config: Config, prompts: int) -> None:
    needed = config.batch_size * config.gradient_accumulation * int(os.environ.get("WORLD_SIZE", "1"))
    if prompts < needed:
        raise TrainerError(
            "too_few_prompts",
            f"a step takes {needed} different prompts (batch_size * gradient_accumulation * devices), and the train "
            f"split has {prompts}: lower `gradient_accumulation` or `batch_size`",
        )
