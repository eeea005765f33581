"""The end of a training: the student's folder, whole or not there at all, and `training.json` beside it."""

import shutil
import stat
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from trainer.config import Training
from trainer.prepare import Prepared
from trainer.supervisor import is_main_process

HALF = {"bfloat16", "float16"}
WATCHED = "watched"
"""Under which name the trainer's log carries what `trainer.watch` saw."""


class Watched(BaseModel):
    """The student's distance from its teacher after a step, on the same few rows of the eval split each time."""

    step: int
    kl: float | None
    """KL(teacher || student), nats a token."""
    agreement: float | None
    """Share of tokens that both hold likeliest."""


class Trained(BaseModel):
    """What a training was and did: `training.json` of the run."""

    name: str = ""
    """What the student is called."""
    parameters: int
    learning_rate: float
    precision: str
    attn_implementation: str | None
    device: str
    tokens_max: int
    """Longest row trained on, or the limit it was held to."""
    reply_tokens_max: int
    """Longest reply trained on."""
    rows: int
    rows_dropped: int
    steps: int
    epochs: float
    tokens: int
    """Seen in training, padding not counted."""
    loss: float | None
    """At the last log."""
    eval_loss: float | None
    train_s: float
    """Of this session; one that went on from a checkpoint does not know the earlier ones."""
    resumed_from_step: int | None
    base_commit: str | None
    base_license: str | None
    reasoning_key: str | None
    template_kwargs: dict[str, Any]
    teachers: list[dict[str, Any]] = []
    """Models that taught here, beside those whose answers the dataset holds: name, model, license, revision."""
    duties: list[str] = []
    """What their licences ask."""
    details: dict[str, Any] = {}
    """What only this method has to tell."""
    watched: list[Watched] = []
    """Before the first step and eight times after it."""
    not_watched: str = ""
    """Why the distance from the teacher was not followed."""


def finish(
    config: Training, trainer: Any, prepared: Prepared, out: Path, *, train_s: float, resumed_from_step: int | None
) -> Path:
    """Save weights, tokenizer and template to `out/student`; remove the cache and, unless kept, the checkpoints."""
    student, partial = out / "student", out / "student.partial"
    if is_main_process():
        shutil.rmtree(partial, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()  # one that came later would remove what another is saving
    _save(trainer, prepared, partial)
    if is_main_process():
        state = trainer.state
        trained = Trained(
            parameters=prepared.parameters,
            learning_rate=trainer.args.learning_rate,
            precision="bf16" if trainer.args.bf16 else "fp32",
            attn_implementation=trainer.model.config._attn_implementation,
            device=str(trainer.args.device),
            tokens_max=prepared.tokens_max,
            reply_tokens_max=max(prepared.rows["reply_tokens"]),
            rows=len(prepared.rows),
            rows_dropped=prepared.dropped,
            steps=state.global_step,
            epochs=round(state.epoch or 0, 3),
            tokens=int(state.num_input_tokens_seen),
            loss=_last(state.log_history, "loss"),
            eval_loss=_last(state.log_history, "eval_loss"),
            train_s=round(train_s, 2),
            resumed_from_step=resumed_from_step,
            base_commit=prepared.base.commit,
            base_license=prepared.base.license,
            reasoning_key=prepared.dialect.key,
            template_kwargs=prepared.dialect.template_kwargs,
            watched=[entry[WATCHED] for entry in state.log_history if WATCHED in entry],
            **prepared.more,
        )
        (out / "training.json").write_text(trained.model_dump_json(indent=2), encoding="utf-8")
        partial.rename(student)
        shutil.rmtree(out / "cache", ignore_errors=True)
        if not config.keep_checkpoints:
            shutil.rmtree(out / "checkpoints", ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    return student


def _save(trainer: Any, prepared: Prepared, target: Path) -> None:
    from accelerate.utils import is_peft_model
    from transformers import AutoConfig

    from trainer.base import load_model

    model = trainer.accelerator.unwrap_model(trainer.model)
    if is_peft_model(model):
        if is_main_process():
            _merge(model, prepared, target)
    else:
        trainer.save_model(str(target))  # every process takes part: sharded weights are gathered
    if not is_main_process():
        return
    (target / "training_args.bin").unlink(missing_ok=True)  # a pickle, and nothing that a user of the student needs
    if prepared.base.dtype in HALF and AutoConfig.from_pretrained(target).dtype != prepared.base.dtype:
        # Trained in fp32, served as its base is: at half the size.
        load_model(target, prepared.base.dtype, "cpu").save_pretrained(target)
    share_weights(target)


def share_weights(student: Path) -> None:
    """Let whoever may read a model's configuration read its weights: safetensors writes them for their owner alone,
    and a server often runs as somebody else."""
    mode = stat.S_IMODE((student / "config.json").stat().st_mode)
    for weights in student.glob("*.safetensors"):
        weights.chmod(mode)


def _merge(model: Any, prepared: Prepared, target: Path) -> None:
    """Add the matrices to the base as it was: while training it may have been in half precision, or in 4 bits."""
    from peft import PeftModel

    from trainer.base import load_model

    adapter = target.with_name("adapter.partial")
    model.save_pretrained(adapter)
    base = load_model(prepared.base.path, "float32", "cpu")
    merged: Any = PeftModel.from_pretrained(base, str(adapter))
    merged.merge_and_unload().save_pretrained(target)
    prepared.tokenizer.save_pretrained(target)
    shutil.rmtree(adapter)


def _last(history: list[dict[str, Any]], name: str) -> float | None:
    return next((round(entry[name], 5) for entry in reversed(history) if name in entry), None)
