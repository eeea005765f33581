"""How far the student is from its teacher while it trains: KL and agreement on a few held-out rows, always the same."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer.config import Training
from trainer.dataset import Folder
from trainer.errors import TrainerError
from trainer.finish import WATCHED
from trainer.held_out import Row, label_with, measure, stored_labels
from trainer.local_teacher import ENTRIES, named_teacher, opened
from trainer.prepare import Prepared
from trainer.score import Scored
from trainer.supervisor import Supervisor

LOOKS = 8
"""Over a training, beside the one before its first step."""
TOKENS_MAX = 8192
"""Of all rows together: more would take longer than what is learnt from it is worth."""


class Watch(TrainerCallback):
    """Emits `teacher_distance`, and keeps it in the trainer's log so that checkpoints carry it on."""

    def __init__(self, rows: Sequence[Row], supervisor: Supervisor) -> None:
        self._rows, self._supervisor = rows, supervisor

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step == 0:
            self._look(state, kwargs["model"])

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        every = max(1, state.max_steps // LOOKS)
        if state.global_step % every == 0 or state.global_step == state.max_steps:
            self._look(state, kwargs["model"])

    def _look(self, state: TrainerState, model: Any) -> None:
        # Every process looks, although one would do: where weights are sharded a forward pass needs all of them.
        learning = model.training
        model.eval()
        try:
            distance = measure(model, self._rows)
        finally:
            model.train(learning)
        if distance is None:
            return
        found = {"step": state.global_step, "kl": distance.kl, "agreement": distance.agreement}
        log: list[Any] = state.log_history  # stated as numbers alone; they go into a JSON file
        log.append({"step": state.global_step, WATCHED: found})
        self._supervisor.emit("teacher_distance", total=state.max_steps, **found)


def watch(config: Training, folder: Folder, prepared: Prepared, supervisor: Supervisor) -> Watch | None:
    """Return what follows a training; without it the reason is in `training.json` under `not_watched`.

    Raises TrainerError as `trainer.local_teacher.opened` does.
    """
    rows, reason = _rows(config, folder, prepared)
    if rows:
        return Watch(rows, supervisor)
    prepared.more["not_watched"] = reason
    return None


def _rows(config: Training, folder: Folder, prepared: Prepared) -> tuple[list[Row], str]:
    if not config.evaluation.watch_rows:
        return [], "`evaluation.watch_rows` is 0"
    if prepared.held_out is None:
        return [], f"{folder.name} has no eval split with rows that fit: curate with a share of it (`--eval`)"
    held_out, count = prepared.held_out, min(config.evaluation.watch_rows, len(prepared.held_out))
    chosen = held_out.select([place * len(held_out) // count for place in range(count)])
    within = [place for place, tokens in enumerate(accumulate(chosen["tokens"])) if tokens <= TOKENS_MAX]
    chosen = chosen.select(within or [0])
    if folder.labels("eval"):
        try:
            return stored_labels(chosen, folder, "eval"), ""
        except TrainerError as error:
            reason = str(error)
    else:
        reason = "the version holds no soft labels of its eval split"
    name = named_teacher(config)
    if name is None:
        return [], f"{reason}, and no teacher on this machine is named (`evaluation.teacher`)"
    rows = [Row(Scored(row["input_ids"], row["reply_tokens"])) for row in chosen.to_list()]
    try:
        with opened(name, config, prepared.base, prepared.tokenizer) as teacher:
            return label_with(teacher, rows, ENTRIES), ""
    except TrainerError as error:
        if error.reason != "tokenizer_mismatch":  # a stage's student may have a tokenizer of its own
            raise
        return [], str(error)
