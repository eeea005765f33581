"""Distillation in stages: the teacher's answers train an assistant, and the assistant's answers the student.

Mirzadeh et al. 2020, "Improved Knowledge Distillation via Teacher Assistant" (arXiv:1902.03393): a student that is much
smaller than its teacher learns more from one of a size between them. Where the paper hands on distributions, here texts
are handed on, as Kim and Rush 2016 do ("Sequence-Level Knowledge Distillation", arXiv:1606.07947): each stage minimises

    -log q(y | x),    y of the stage before (of the teacher, for the first)

and so may have a tokenizer of its own. Whether a stage in between is worth it a run of `sft` on the same version tells.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from trainer.base import find_base, find_teacher, load_tokenizer
from trainer.dataset import Folder
from trainer.dialect import find_dialect
from trainer.licence import may_teach
from trainer.stages import Config as Stages
from trainer.stages import run_stages
from trainer.supervisor import Supervisor


class Config(Stages):
    """Settings of a distillation in stages."""

    assistants: Annotated[list[str], Field(min_length=1, max_length=8)]
    """Folders or hub ids of the models between teacher and student, the largest first. Every one is trained as the
    student is, with these same settings."""
    assistant_license: str | None = None
    """SPDX id of the assistants' weights, if their own cards do not say; an unknown one stops the run."""


def train(config: Config, folder: Folder, out: Path, supervisor: Supervisor) -> Path:
    """Train and return the student's folder.

    Raises what `trainer.stages.run_stages` does, and TrainerError `licence_blocked`, or `teacher_…` where an assistant
    cannot be had.
    """
    student = find_base(config.student, config.revision)
    taught_by: dict[str, list[Any]] = {"teachers": [], "duties": []}
    for name in dict.fromkeys(config.assistants):  # all of them first: the last one's fault is told at once
        assistant = find_teacher(name, None)
        about = may_teach(assistant, config.assistant_license, student, folder, "assistant_license")
        find_dialect(load_tokenizer(assistant.path, config.chat_template, config.eos_token), config.completion)
        taught_by = {key: taught_by[key] + about[key] for key in taught_by}
    return run_stages(config, config.assistants, folder, out, supervisor, taught_by)
