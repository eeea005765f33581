"""Tasks of lm-eval, the field's own benchmarks, asked of base and student; data from this machine alone is enough."""

import importlib.util
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.config import Evaluation
from trainer.errors import TrainerError
from trainer.supervisor import Supervisor

if TYPE_CHECKING:
    from trainer.evaluate import Reader

YAML = (".yaml", ".yml")
BOOTSTRAP = 1000
"""Draws for the standard error of metrics that are no plain mean."""
BATCH_MAX = 64


def check_tasks(knobs: Evaluation) -> None:
    """Raise TrainerError `no_lm_eval` or `task_unavailable` for what can be told without loading anything."""
    if knobs.tasks and importlib.util.find_spec("lm_eval") is None:
        raise TrainerError(
            "no_lm_eval", "`evaluation.tasks` needs lm-eval, which is not installed here: pip install lm-eval"
        )
    for name in knobs.tasks:
        if name.endswith(YAML) and not Path(name).is_file():
            raise TrainerError("task_unavailable", f"the task {name} is no file on this machine")


class Tasks:
    """The tasks of a run, loaded once. Raises TrainerError `task_unavailable`, before a model is asked anything."""

    def __init__(self, knobs: Evaluation) -> None:
        check_tasks(knobs)
        from lm_eval.tasks import TaskManager

        logging.getLogger("lm_eval").setLevel(logging.WARNING)
        own = all(name.endswith(YAML) for name in knobs.tasks)
        # Reading the thousands of tasks that lm-eval brings takes seconds; a file of one's own needs none of them.
        self._manager = TaskManager(include_defaults=not own)
        self._knobs = knobs
        try:
            self._manager.load(knobs.tasks)
        except Exception as error:  # whatever a task's own loading raises
            raise TrainerError(
                "task_unavailable",
                f"the tasks {', '.join(knobs.tasks)} cannot be loaded ({type(error).__name__}: {str(error)[:500]}). "
                "Misspelt (`lm-eval ls tasks` lists them)? Or is their data on the hub, and this machine offline? "
                "Fetch it once where there is a network, or write a YAML task on local files (`dataset_path: json`)",
            ) from error

    def run(self, model: Any, reader: "Reader", supervisor: Supervisor, name: str) -> dict[str, dict[str, float]]:
        """Return by task what lm-eval measured of a loaded model.

        Raises TrainerError `task_failed`.
        """
        from lm_eval.evaluator import simple_evaluate
        from lm_eval.models.huggingface import HFLM

        supervisor.emit("evaluating_tasks", model=name, tasks=self._knobs.tasks)
        chat: dict[str, Any] = {}
        if self._knobs.tasks_chat:
            chat = {"chat_template_args": reader.dialect.template_kwargs}
            if reader.dialect.closer.strip():
                chat["think_end_token"] = reader.dialect.closer.strip()
        wrap: Any = HFLM  # its decorator hides what it takes
        asked = wrap(
            pretrained=model, tokenizer=reader.tokenizer, batch_size=self._knobs.batch_size or BATCH_MAX, **chat
        )
        try:
            found: Any = simple_evaluate(
                model=asked,
                tasks=self._knobs.tasks,  # pyright: ignore[reportArgumentType] - a list of names is one of the kinds
                task_manager=self._manager,
                limit=self._knobs.tasks_limit,
                bootstrap_iters=BOOTSTRAP,
                log_samples=False,
                apply_chat_template=self._knobs.tasks_chat,
            )
        except Exception as error:  # whatever a task does with a model
            raise TrainerError(
                "task_failed",
                f"lm-eval failed on {', '.join(self._knobs.tasks)} ({type(error).__name__}: {str(error)[:500]})",
            ) from error
        return {
            task: {
                metric.removesuffix(",none"): round(float(value), 6)
                for metric, value in metrics.items()
                if isinstance(value, int | float) and not isinstance(value, bool) and metric != "sample_len"
            }
            for task, metrics in found["results"].items()
        }
