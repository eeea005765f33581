"""A training's result file: its losses step by step as CSV, a view of what the trainer told."""

import csv
import io
from pathlib import Path
from typing import Any

import orjson

from service.models import Run
from service.settings import Settings

PREFIX = "file-metrics-"
COLUMNS = {
    "train_loss": ("step", "loss"),
    "valid_loss": ("eval_loss", "loss"),
    "learning_rate": ("step", "learning_rate"),
    "tokens": ("step", "tokens"),
}
"""OpenAI's names where it has them, each with the event that tells it and its name there."""


def file_of(run: Run) -> str:
    """Return the id under which clients read the losses of a run."""
    return PREFIX + run.id.removeprefix("run_")


def run_of(file_id: str) -> str | None:
    """Return the run whose result file an id names; None when it names another file."""
    return f"run_{file_id.removeprefix(PREFIX)}" if file_id.startswith(PREFIX) else None


def content(settings: Settings, run: Run) -> bytes:
    """Return the CSV. A step that was done again after a checkpoint is told as it was the last time."""
    steps: dict[int, dict[str, Any]] = {}
    for event in _events(settings.data_dir / "runs" / run.id / "events.jsonl"):
        if event.get("event") == "stage":  # steps begin anew: the last stage is the student's own
            steps.clear()
        found = {name: event[told] for name, (kind, told) in COLUMNS.items() if event.get("event") == kind}
        if found:
            steps.setdefault(event["step"], {}).update(found)
    text = io.StringIO()
    table = csv.DictWriter(text, ["step", *COLUMNS], lineterminator="\n")
    table.writeheader()
    table.writerows({"step": step} | found for step, found in sorted(steps.items()))
    return text.getvalue().encode()


def _events(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as lines:
        return [orjson.loads(line) for line in lines]
