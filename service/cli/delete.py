"""`retort delete`: a dataset version or a batch that nothing stands on."""

from typing import Annotated

import typer

from service.cli.status import split_version
from service.cli.terminal import Json, begin


def delete(
    ctx: typer.Context,
    subject: Annotated[str, typer.Argument(help="NAME@N, or a batch that has ended.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Delete a version (ledger, folder) or a batch (prompts, traces); refused where something was made from it."""
    terminal = begin(ctx, json)
    name, number = split_version(subject) if "@" in subject else ("", 0)
    what = "its ledger and its folder" if name else "its prompts and traces"
    if not yes:
        typer.confirm(f"Delete {subject}, {what}?", abort=True, err=True)
    if name:
        terminal.client.delete_version(name, number)
    else:
        terminal.client.delete_batch(subject)
    terminal.show({"deleted": subject}, lambda terminal: terminal.say(f"{subject} is deleted"))
