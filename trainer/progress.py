"""What the trainer tells while it trains, and how it is stopped: a callback of transformers' Trainer."""

import math
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer.checkpoints import mark_complete
from trainer.errors import TrainerError
from trainer.resources import Resources
from trainer.supervisor import Supervisor, is_main_process

MEASURED = {
    "kl": "kl",
    "agreement": "agreement",
    "rewards/accuracies": "preferred",
    "rewards/margins": "margin",
}
"""What a method may log beside its loss, and how it is told: nats a token to the teacher; share of tokens both hold
likeliest; share of pairs whose better answer gained more than the worse one, and by how much (beta times nats)."""


class Progress(TrainerCallback):
    """Emits `training`, `step`, `eval_loss` and `saved`; on a request to stop, saves and ends after the step."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._began = (0.0, 0, 0)
        self._resources = Resources()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._began = (time.monotonic(), state.global_step, state.num_input_tokens_seen)
        self._supervisor.emit("training", step=state.global_step, total=state.max_steps, device=str(args.device))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        logs = logs or {}
        if "eval_loss" in logs:
            told = _beside(logs, "eval_")
            self._supervisor.emit("eval_loss", step=state.global_step, loss=round(logs["eval_loss"], 5), **told)
        if "loss" not in logs:
            return
        if not math.isfinite(logs["loss"]):
            raise TrainerError(
                "diverged", f"the loss is {logs['loss']} at step {state.global_step}: lower the learning rate"
            )
        since, first_step, first_tokens = self._began
        passed = time.monotonic() - since
        self._supervisor.emit(
            "step",
            step=state.global_step,
            total=state.max_steps,
            epoch=round(state.epoch or 0, 3),
            loss=round(logs["loss"], 5),
            learning_rate=logs["learning_rate"],
            tokens=state.num_input_tokens_seen,
            tokens_per_s=round((state.num_input_tokens_seen - first_tokens) / passed),
            eta_s=round(passed * (state.max_steps - state.global_step) / max(1, state.global_step - first_step), 1),
            **self._resources.used(),
            **_beside(logs, ""),
        )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self._stop_asked(args):
            control.should_save = control.should_training_stop = True

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._supervisor.stop_asked:
            control.should_evaluate = False  # stopping counts as the end of an epoch, and whoever asked is waiting

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if is_main_process():
            checkpoint = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
            mark_complete(checkpoint)
            self._supervisor.emit("saved", step=state.global_step, path=str(checkpoint))

    def _stop_asked(self, args: TrainingArguments) -> bool:
        """Agree with the other processes: one that stopped alone would leave the rest waiting for it for ever."""
        if args.world_size == 1:
            return self._supervisor.stop_asked
        import torch

        asked = torch.tensor(float(self._supervisor.stop_asked), device=args.device)
        torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
        self._supervisor.stop_asked = bool(asked.item())
        return self._supervisor.stop_asked


def _beside(logs: dict[str, Any], prefix: str) -> dict[str, float]:
    """Return what a method measures beside its loss."""
    return {told: round(logs[prefix + name], 5) for name, told in MEASURED.items() if prefix + name in logs}
