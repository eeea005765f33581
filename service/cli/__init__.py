"""The command line `retort`: a client of the API, and the way to start it.

| exit code | means |
|---|---|
| 0 | done |
| 1 | the work failed or was cancelled, or the service broke |
| 2 | wrong usage or bad input: an unknown option, a refused line, no such batch |
| 3 | no Retort can be reached at the URL |
| 130 | interrupted with Ctrl-C; work already submitted goes on |

With `--json`, stdout carries JSON alone: one document, or with `--follow` one line for each change, the last one final;
a failure is `{"error": {"status", "title", "detail", "errors"}}`. Commands import what they need when they run, so that
`retort --help` answers at once.
"""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from service.cli import (
    audit,
    backup,
    batches,
    benchmarks,
    completion,
    datasets,
    delete,
    diff,
    doctor,
    imports,
    keys,
    licences,
    push,
    quantize,
    questions,
    rebuild,
    render,
    report,
    rewrite,
    runs,
    soft_labels,
    status,
    teachers,
    traces,
    up,
)
from service.cli.terminal import BAD_INPUT, FAILED, UNREACHABLE, Refused, Terminal

ERRORS_SHOWN = 20


class Root(TyperGroup):
    """Turns what went wrong into a message and an exit code, in one place."""

    def invoke(self, ctx: typer.Context) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        try:
            return super().invoke(ctx)
        except Refused as error:
            _tell(ctx.obj, {"title": str(error)})
            raise typer.Exit(error.code) from error
        except Exception as error:
            from service.connection import RetortError

            if not isinstance(error, RetortError):
                raise
            raise typer.Exit(_explain(ctx.obj, error)) from error


app = typer.Typer(
    cls=Root,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: half the start-up time, and clean when piped
)


@app.callback()
def options(
    ctx: typer.Context,
    url: Annotated[str, typer.Option(help="Where Retort is.", envvar="RETORT_URL")] = "http://127.0.0.1:8080",
    api_key: Annotated[str | None, typer.Option(help="Its key, if it has one.", envvar="RETORT_API_KEY")] = None,
) -> None:
    """Turn open-weight teachers into small students: ask, keep what is good, train, measure.

    \b
    retort up                                        start everything here
    retort teacher add NAME URL MODEL --license L    say who answers
    retort submit prompts.jsonl --teacher NAME       ask
    retort curate DATASET --batch ID --recipe FILE   keep what is good
    retort train DATASET@1 --student PATH            train and measure

    \b
    Exit codes: 0 done, 1 the work failed, 2 wrong usage or bad input,
    3 no Retort at the URL, 130 interrupted (submitted work goes on).
    """
    ctx.obj = Terminal(url, api_key or None)
    ctx.call_on_close(ctx.obj.close)


PASS_ON: dict[str, Any] = {
    "add_help_option": False,
    "context_settings": {
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
    },
}
"""For commands that become another program: its options, `--help` among them, are its own, and so is a `--`."""

app.command()(up.up)
app.command(**PASS_ON)(up.worker)
teacher = typer.Typer(no_args_is_help=True, help="Who answers: register, list, probe; serve one, or a fake one.")
teacher.command()(teachers.add)
teacher.command("list")(teachers.list_teachers)
teacher.command()(teachers.probe)
teacher.command(**PASS_ON)(teachers.serve)
teacher.command(**PASS_ON)(teachers.fake)
app.add_typer(teacher, name="teacher")
app.command()(batches.submit)
app.command("import")(imports.import_traces)
app.command()(status.status)
app.command()(status.wait)
app.command()(status.cancel)
app.command()(runs.pause)
app.command()(runs.resume)
app.command()(batches.retry)
app.command()(soft_labels.soft_labels)
app.command()(rewrite.rewrite)
app.command("traces")(traces.list_traces)
app.command()(traces.trace)
app.command()(traces.why)
app.command()(datasets.curate)
app.command()(datasets.control)
app.command()(datasets.export)
app.command()(push.push)
app.command()(rebuild.rebuild)
app.command()(diff.diff)
app.command()(delete.delete)
app.command()(render.render)
app.command()(runs.train)
app.command()(quantize.quantize)
app.command()(report.report)

question = typer.Typer(no_args_is_help=True, help="Prompts from documents: write questions, collect them.")
question.command()(questions.write)
question.command()(questions.collect)
app.add_typer(question, name="questions")
benchmark = typer.Typer(no_args_is_help=True, help="Test questions that no dataset may hold: add them, list them.")
benchmark.command()(benchmarks.add)
benchmark.command("list")(benchmarks.list_benchmarks)
app.add_typer(benchmark, name="benchmark")
licence = typer.Typer(no_args_is_help=True, help="What may be done with which licences.")
licence.command()(licences.check)
app.add_typer(licence, name="licence")
key = typer.Typer(no_args_is_help=True, help="Who may use this Retort, once RETORT_API_KEY is set.")
key.command()(keys.make)
key.command("list")(keys.list_keys)
key.command()(keys.revoke)
app.add_typer(key, name="key")
app.command()(audit.audit)
app.command()(backup.backup)
app.command()(backup.restore)
app.command()(doctor.doctor)
app.command()(completion.completion)


def main() -> None:
    """Run the command line; the console script `retort`."""
    app(prog_name="retort")


def _explain(terminal: Terminal, error: Any) -> int:
    """Tell a person, or a script, of an error of the API; return the exit code."""
    detail = error.detail
    if error.status == 401:
        detail += "; give it with --api-key or RETORT_API_KEY"
    if error.status >= 500 and error.request_id:
        detail += f" ({error.request_id})"
    shown = error.errors[:ERRORS_SHOWN]
    errors = {"errors": error.errors, "errors_total": error.errors_total}
    problem = {"status": error.status, "title": error.title, "detail": detail, **errors}
    _tell(terminal, problem, shown, error.errors_total - len(shown))
    if error.status == 0:
        return UNREACHABLE
    return FAILED if error.status >= 500 else BAD_INPUT


def _tell(
    terminal: Terminal, problem: dict[str, Any], shown: list[dict[str, Any]] | None = None, more: int = 0
) -> None:
    from service.cli.words import clean

    if terminal.json:
        terminal.show({"error": problem}, lambda _: None)
        return
    title, detail = problem["title"], problem.get("detail")
    # The API's details are whole sentences; only where no answer came does the title say what the detail does not.
    line = detail if detail and problem.get("status") else f"{title}: {detail}" if detail else title
    terminal.note(clean(line), style="red")
    if shown and len(shown) + more > 1:  # a single one is in the detail already
        from service.connection import describe

        terminal.note(*(clean(describe(error)) for error in shown))
    if more > 0:
        terminal.note(f"  … and {more:,} more")
