"""`retort audit`: who did what."""

from typing import Annotated

import typer

from service.acts import Act
from service.cli.terminal import Json, Terminal, begin
from service.cli.words import age, clean, one_line

DETAIL_CHARS = 200


def audit(
    ctx: typer.Context,
    act: Annotated[Act | None, typer.Option(help="Only this kind.")] = None,
    who: Annotated[str | None, typer.Option(help="Only by the key of this name.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only to this batch, version, key, …")] = None,
    after: Annotated[int | None, typer.Option(help="Go on below this number, the last one of a page.")] = None,
    limit: Annotated[int, typer.Option(help="Rows.", min=1, max=500)] = 50,
    json: Json = False,
) -> None:
    """List who did what, the newest first: keys, teachers, deletions, downloads, overrides, refused keys."""
    terminal = begin(ctx, json)
    page = terminal.client.audit(act=act, who=who, subject=subject, after=after, limit=limit)

    def view(terminal: Terminal) -> None:
        rows = [
            (
                row.id,
                f"{age(row.at)} ago",
                row.act,
                clean(row.subject),
                one_line(row.who or "-", 40),
                clean(row.address),
                one_line(", ".join(f"{name}={value}" for name, value in row.detail.items()), DETAIL_CHARS),
            )
            for row in page.data
        ]
        terminal.table(("#id", "when", "act", "subject", "~who", "from", "~detail"), rows)
        if page.next:
            terminal.note(f"more with --after {page.next}")

    terminal.show(page, view)
