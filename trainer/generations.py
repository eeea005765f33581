"""Self-distillation: the student is trained again and again from the same base, each time on its own last answers.

Furlanello et al. 2018, "Born-Again Neural Networks" (arXiv:1805.04770): a student of its teacher's own architecture may
come to be better than its teacher. The first generation learns the version's rows, generation n + 1 minimises

    -log q(y | x),    y of generation n

from the same untrained start. The paper hands on distributions; texts of which only the right ones are taught
(`right_only`) are what Zelikman et al. 2022 iterate ("STaR", arXiv:2203.14465).
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from trainer.dataset import Folder
from trainer.stages import Config as Stages
from trainer.stages import run_stages
from trainer.supervisor import Supervisor


class Config(Stages):
    """Settings of a self-distillation."""

    generations: Annotated[int, Field(ge=2, le=10)] = 3
    """Trainings in all. The paper's gains ended after two or three."""


def train(config: Config, folder: Folder, out: Path, supervisor: Supervisor) -> Path:
    """Train and return the student's folder. Raises what `trainer.stages.run_stages` does."""
    return run_stages(config, [config.student] * (config.generations - 1), folder, out, supervisor)
