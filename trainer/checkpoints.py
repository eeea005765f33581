"""Checkpoints that can be trusted: a kill in the middle of writing one leaves a folder that looks like any other."""

from pathlib import Path

_COMPLETE = "complete"


def mark_complete(checkpoint: Path) -> None:
    """Note that everything of the checkpoint is written."""
    (checkpoint / _COMPLETE).touch()


def last_complete(folder: Path) -> Path | None:
    """Return the newest checkpoint that was written to its end."""
    done = [path for path in folder.glob("checkpoint-*") if (path / _COMPLETE).exists()]
    return max(done, key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    """Return the optimizer step a checkpoint was made after."""
    return int(checkpoint.name.rsplit("-", 1)[1])
