"""`retort licence check`: may these be combined?"""

from typing import Annotated, Literal

import typer

from service.cli.looks import licence_answer
from service.cli.terminal import FAILED, Json, begin


def check(
    ctx: typer.Context,
    teacher: Annotated[
        list[str] | None, typer.Option(help="Licence of a teacher; may be given more than once.")
    ] = None,
    prompts: Annotated[
        list[str] | None, typer.Option(help="Licence of a source of prompts; more than one likewise.")
    ] = None,
    base: Annotated[str | None, typer.Option(help="Licence of the student's base.")] = None,
    use: Annotated[Literal["research", "commercial"], typer.Option(help="What it is meant for.")] = "research",
    json: Json = False,
) -> None:
    """Say what may be done with a student of these licences, and which duties follow.

    Exit code 1 when it is not allowed, or not known to be.
    """
    terminal = begin(ctx, json)
    answer = terminal.client.check_licence(teacher or [], prompts or [], base, use)
    terminal.show(answer, lambda terminal: licence_answer(terminal, answer.model_dump(), use))
    if answer.decision not in {"allowed", "allowed_with_duties"}:
        raise typer.Exit(FAILED)
