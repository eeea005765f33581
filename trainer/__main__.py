"""`python -m trainer`: training as a process that another one can follow.

stdout carries events alone, one JSON object a line; everything else goes to stderr. Exit codes: 0 done, 1 crashed,
2 refused for a reason its user can mend, 3 interrupted (start again with the same folder to go on).
"""

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

# Idle threads sleep instead of spinning: on a CPU shared with others spinning made a step ten times slower. Nothing is
# reported to anybody. And that a part of TRL may change is our concern, not a warning in every run's log. They are read
# when torch, huggingface_hub and TRL are first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import typer

from trainer.errors import Interrupted, TrainerError
from trainer.methods import METHODS
from trainer.supervisor import Supervisor, die_with_launcher, is_main_process

CRASHED, REFUSED, INTERRUPTED = 1, 2, 3

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

DatasetArgument = Annotated[Path, typer.Argument(help="Folder of an exported dataset version.")]
OutArgument = Annotated[Path, typer.Argument(help="Folder of a run.")]
OutOption = Annotated[Path, typer.Option(help="Folder of the run; one that was begun is gone on with.")]
StudentOption = Annotated[str | None, typer.Option(help="Folder or hub id of the model to train.")]
ConfigOption = Annotated[Path | None, typer.Option(help="Settings as JSON or YAML: see `python -m trainer methods`.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KNOB=VALUE", help="One setting, such as epochs=2.")
]
EvaluationOption = Annotated[
    Path | None, typer.Option(help="Parquet file of prompts to measure with; without it the version's test split.")
]
RetainedOption = Annotated[
    Path | None, typer.Option(help="JSONL of prompts that the base could answer: what did the student forget?")
]


def _training_command(method: str) -> Callable[..., None]:
    def command(
        dataset: DatasetArgument,
        out: OutOption,
        student: StudentOption = None,
        config: ConfigOption = None,
        changes: SetOption = None,
        evaluation: EvaluationOption = None,
        retained: RetainedOption = None,
    ) -> None:
        from trainer.examine import Given
        from trainer.run import run
        from trainer.settings import read_file, read_settings

        def work(supervisor: Supervisor) -> None:
            settings = read_settings(method, read_file(config) if config else {}, changes or [], student)
            run(method, settings, dataset, out, Given(evaluation, retained), supervisor)

        _guarded(work)

    return command


for _name, _method in METHODS.items():
    app.command(_name, help=f"{_method.summary} Then evaluate, report and write the model card.")(
        _training_command(_name)
    )


@app.command()
def render(
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option(help="Folder for render.json and rejected.parquet; not the dataset's.")],
    student: StudentOption = None,
    max_length: Annotated[int | None, typer.Option(help="Tokens a row may have; else the student's positions.")] = None,
    method: Annotated[str, typer.Option(help="Whose settings --config and --set are.")] = "sft",
    config: ConfigOption = None,
    changes: SetOption = None,
) -> None:
    """Show what the student would read of every row, and refuse a version with rows it would learn wrongly from.

    Nothing is trained. With --set on_unfit=drop_to_rejected, as in a training, unfit rows are no reason to refuse.
    """
    from trainer.gate import refuse_unfit, rehearse
    from trainer.settings import read_file, read_settings

    def work(supervisor: Supervisor) -> None:
        if method not in METHODS:
            raise TrainerError("unknown_method", f"{method} is none of the methods {', '.join(METHODS)}")
        length = [f"max_length={max_length}"] if max_length is not None else []
        settings = read_settings(method, read_file(config) if config else {}, [*(changes or []), *length], student)
        rendering = rehearse(settings, dataset, out, supervisor)
        supervisor.emit("rendered", **rendering.model_dump(mode="json"))
        refuse_unfit(rendering, settings)
        supervisor.emit("finished", report=str(out / "render.json"))

    _guarded(work)


@app.command()
def evaluate(
    out: OutArgument,
    dataset: Annotated[Path, typer.Option(help="Folder of the dataset version it was trained on.")],
    evaluation: EvaluationOption = None,
    retained: RetainedOption = None,
    changes: SetOption = None,
) -> None:
    """Measure a trained student anew and replace its report; --set takes the knobs of `evaluation`."""
    from trainer.examine import Given
    from trainer.run import evaluate_again

    def work(supervisor: Supervisor) -> None:
        knobs = [f"evaluation.{change}" for change in changes or []]
        evaluate_again(out, dataset, Given(evaluation, retained), knobs, supervisor)

    _guarded(work)


@app.command()
def quantize(
    out: OutArgument,
    dataset: Annotated[Path, typer.Option(help="Folder of the dataset version it was trained on.")],
    bits: Annotated[int, typer.Option(help="Bits of a weight: 8 or 4.")] = 8,
    group_size: Annotated[int | None, typer.Option(help="Weights that share a scale.", min=1)] = None,
    evaluation: EvaluationOption = None,
) -> None:
    """Make a finished student smaller, weights in 8 or 4 bits, and measure what that cost it."""

    def work(supervisor: Supervisor) -> None:
        from trainer.compress import Compression
        from trainer.quantize import quantize

        if bits not in (4, 8):
            raise TrainerError("invalid_knob", f"--bits {bits}: weights can have 8 or 4")
        wish = Compression(bits=bits, group_size=group_size)  # pyright: ignore[reportArgumentType] - just checked
        quantize(out, dataset, evaluation, wish, supervisor)

    _guarded(work)


@app.command()
def report(out: OutArgument) -> None:
    """Write report.md, report.html, charts and model card of a run again, from its report.json."""
    from pydantic import ValidationError

    def work(supervisor: Supervisor) -> None:
        from trainer.card import write_card
        from trainer.pages import write_pages
        from trainer.report import Report

        try:
            found = Report.model_validate_json((out / "report.json").read_bytes())
        except (OSError, ValidationError) as error:
            raise TrainerError("no_report", f"{out} holds no report of this trainer: {error}") from error
        write_pages(found, out)
        if (out / "student").is_dir():
            write_card(found, out / "student")
        supervisor.emit("finished", report=str(out / "report.json"))

    _guarded(work)


@app.command()
def methods() -> None:
    """Print every method with the JSON schema of its settings."""
    shown = {
        name: {"summary": method.summary, "config": method.config.model_json_schema()}
        for name, method in METHODS.items()
    }
    typer.echo(json.dumps(shown, indent=2))


def _guarded(work: Callable[[Supervisor], None]) -> None:
    """Do the work, turning how it ends into an event, a word on stderr and an exit code."""
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no event
    supervisor = Supervisor(events)
    supervisor.listen_for_signals()
    die_with_launcher()
    try:
        work(supervisor)
    except Interrupted as interrupted:
        supervisor.emit("interrupted", detail=str(interrupted))
        raise typer.Exit(INTERRUPTED) from None
    except TrainerError as error:
        supervisor.emit("failed", reason=error.reason, detail=str(error))
        if is_main_process():
            typer.echo(f"{error.reason}: {error}", err=True)
        raise typer.Exit(REFUSED) from None
    except Exception as error:  # noqa: BLE001 - the last line of defence, and it is told in full
        supervisor.emit("failed", reason="crashed", detail=f"{type(error).__name__}: {error}"[:2000])
        traceback.print_exc()
        raise typer.Exit(CRASHED) from None


if __name__ == "__main__":
    app(prog_name="python -m trainer")
