"""`retort key …`: keys for people and programs, each with what it may do."""

from typing import Annotated, Literal

import typer

from service.cli.terminal import Json, Terminal, begin
from service.cli.words import age, clean


def make(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose it is.")],
    scope: Annotated[
        Literal["read", "submit", "admin"], typer.Option(help="read; submit: read, and send work; admin: all of it.")
    ] = "submit",
    json: Json = False,
) -> None:
    """Make a key and print it, this once."""
    terminal = begin(ctx, json)
    made = terminal.client.make_key(name, scope)

    def view(terminal: Terminal) -> None:
        terminal.note(f"{made.id} for {clean(made.name)}, scope {made.scope}; it is shown only now:")
        terminal.say(made.token)

    terminal.show(made, view)


def list_keys(ctx: typer.Context, json: Json = False) -> None:
    """List the keys, revoked ones too."""
    terminal = begin(ctx, json)
    keys = terminal.client.keys()

    def view(terminal: Terminal) -> None:
        rows = [
            (key.id, key.scope, f"revoked {age(key.revoked_at)} ago" if key.revoked_at else "valid", clean(key.name))
            for key in keys
        ]
        terminal.table(("key", "scope", "state", "~name"), rows)

    terminal.show(keys, view)


def revoke(ctx: typer.Context, key: Annotated[str, typer.Argument(help="Its id.")], json: Json = False) -> None:
    """Revoke a key: requests with it are refused from now on."""
    terminal = begin(ctx, json)
    revoked = terminal.client.revoke_key(key)
    terminal.show(revoked, lambda terminal: terminal.say(f"{revoked.id} ({clean(revoked.name)}) is revoked"))
