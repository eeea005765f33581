"""Several trainings in a row as one run: what each stage answers is what the next one learns.

Stage n has its folder `stages/n`, with its student, its `training.json` and its answers; it is kept, and a run that is
begun again goes on with the first stage that is not finished. The last stage is the run itself.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer import sft
from trainer.answers import Answering, answer
from trainer.dataset import Folder
from trainer.errors import Interrupted
from trainer.loop import train_with
from trainer.supervisor import Supervisor


class Config(sft.Config, Answering):
    """Settings common to methods of several stages: those of `sft`, which every stage has, and how a stage answers."""


def run_stages(
    config: Config,
    before: Sequence[str],
    folder: Folder,
    out: Path,
    supervisor: Supervisor,
    taught_by: dict[str, Any] | None = None,
) -> Path:
    """Train the models `before` one after the other, then the student, and return its folder.

    `taught_by` has fields of `training.json`. Raises what `trainer.loop.train_with` and `trainer.answers.answer` do,
    and Interrupted between two stages, too.
    """
    if (out / "student").exists():
        return out / "student"
    known, details, count = folder, [], len(before) + 1
    for number, model in enumerate(before, 1):
        stage = out / "stages" / str(number)
        supervisor.emit("stage", stage=number, of=count, student=model)
        settings = config.model_dump(include=set(sft.Config.model_fields)) | {"student": model}
        if model != config.student:
            settings["revision"] = None
        sft.train(sft.Config.model_validate(settings | _unfit(number)), known, stage, supervisor)
        if supervisor.stop_asked:  # during the last step: the training ended, its signal is spent
            raise Interrupted(f"after the training of stage {number} of {count}")
        answered, known = answer(config, stage, number, folder, supervisor)
        supervisor.emit("answered", stage=number, **answered.model_dump(mode="json", exclude={"file"}))
        details.append({"student": model, **answered.model_dump(mode="json", exclude={"file"})})
    supervisor.emit("stage", stage=count, of=count, student=config.student)

    def build(prepared: Any) -> Any:
        prepared.more.update((taught_by or {}) | {"details": {"stages": details}})
        return sft.build(config, prepared, out / "checkpoints")

    return train_with(build, config.model_copy(update=_unfit(count)), known, out, supervisor)


def _unfit(number: int) -> dict[str, Any]:
    """Return how unfit rows are met: a teacher's as the settings say, a stage's own odd ones are set aside."""
    return {} if number == 1 else {"on_unfit": "drop_to_rejected"}
