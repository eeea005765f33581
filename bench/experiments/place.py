"""Where the experiments keep what they make."""

from dataclasses import dataclass
from pathlib import Path

ARITHMETIC = Path(__file__).parents[2] / "examples" / "arithmetic"


@dataclass(frozen=True)
class Place:
    """Where everything is."""

    folder: Path
    steps_max: int | None = None
    """No training has more steps: for a trial that shows that all of it works."""

    def result(self, arm: str, seed: int) -> Path:
        """Return the file of a result."""
        return self.folder / "results" / f"{arm}-{seed}.json"

    def run(self, arm: str, seed: int) -> Path:
        """Return the folder of a run of the trainer."""
        return self.folder / "runs" / f"{arm}-{seed}"

    def version(self, name: str) -> Path:
        """Return the folder of an exported version."""
        return self.folder / "versions" / name

    @property
    def small(self) -> Path:
        """The student that is smaller than the base."""
        return self.folder / "small-student"

    @property
    def evaluation(self) -> Path:
        """The prompts that every student is asked."""
        return self.folder / "evaluation.parquet"
