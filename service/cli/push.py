"""`retort push`: a sealed version, or an export folder, to a hub or another store, from this machine.

From here and not from a worker: what is needed to write there is a person's own, and never leaves the person's hands.
"""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.status import split_version
from service.cli.terminal import FAILED, Json, Refused, Terminal, begin
from service.cli.words import clean

if TYPE_CHECKING:
    from service.push import Pushed

HUB_TOKEN = "HF_TOKEN"  # noqa: S105 - the variable that the hub's own tools read


def push(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(help="NAME@N, or the folder of an export.")],
    target: Annotated[
        str,
        typer.Argument(help="hf://datasets/ORG/NAME, s3://BUCKET/FOLDER, file:///FOLDER or what else fsspec knows."),
    ],
    private: Annotated[bool, typer.Option("--private", help="Make a new hub repository private.")] = False,
    token_env: Annotated[
        str, typer.Option(help="Variable with the hub's token; without one, that of `hf auth login`.")
    ] = HUB_TOKEN,
    json: Json = False,
) -> None:
    """Send a version to a hub, or to any store, and check that every file arrived; again sends only what is missing."""
    terminal = begin(ctx, json)
    token = os.environ.get(token_env)
    if token is None and token_env != HUB_TOKEN:
        raise Refused(f"--token-env: there is no variable {token_env} in this environment")
    if "@" not in source or Path(source).is_dir():
        pushed = _push(terminal, Path(source), target, token, private)
    else:
        from service.cli.exports import bring

        name, number = split_version(source)
        with tempfile.TemporaryDirectory(prefix="retort-push-") as temporary:
            folder = Path(temporary) / f"{name}-v{number}"
            bring(terminal, name, number, folder, "parquet")
            pushed = _push(terminal, folder, target, token, private)
    told = {"source": source, "url": pushed.url, "sent": pushed.sent, "there": pushed.there}
    there = f", {pushed.there} were there" if pushed.there else ""
    terminal.show(told, lambda terminal: terminal.say(f"{pushed.url}: {pushed.sent} files sent{there}; all as sealed"))


def _push(terminal: Terminal, folder: Path, target: str, token: str | None, private: bool) -> "Pushed":
    from service.cli.exports import check_export
    from service.errors import Problem
    from service.push import push as send

    if not folder.is_dir():
        raise Refused(f"'{folder}' is neither NAME@N nor a folder")
    try:
        return send(folder, check_export(folder), target, token=token, private=private, told=terminal.note)
    except Problem as error:
        raise Refused(clean(str(error))) from error
    except OSError as error:
        raise Refused(clean(f"{error}; the same call goes on from here"), FAILED) from error
