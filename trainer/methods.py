"""The training methods by name. A new one is a file with `Config` and `train`, a line here, and one in
`service.methods`, which names them to people and may not import this.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer import generations, on_policy, preference, sft, soft_label, staged
from trainer.config import Training
from trainer.dataset import Folder
from trainer.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class Method:
    """A way to train: its settings, and the function that trains and returns the student's folder."""

    config: type[Training]
    train: Callable[[Any, Folder, Path, Supervisor], Path]
    summary: str


METHODS: dict[str, Method] = {
    "sft": Method(sft.Config, sft.train, "Supervised fine-tuning on the teacher's traces."),
    "soft_label": Method(soft_label.Config, soft_label.train, "Learning the teacher's distribution over each token."),
    "on_policy": Method(
        on_policy.Config,
        on_policy.train,
        "The student answers, and a teacher scores every token, here or on a vLLM server.",
    ),
    "staged": Method(staged.Config, staged.train, "The teacher's answers train an assistant, its answers the student."),
    "self": Method(
        generations.Config, generations.train, "Generations of the student, each on the last one's answers."
    ),
    "preference": Method(preference.Config, preference.train, "Right answers before wrong ones to the same prompt."),
}
