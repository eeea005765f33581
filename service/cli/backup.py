"""`retort backup` and `retort restore`: all of a Retort in one folder or file, and back."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.batches import bytes_bar
from service.cli.terminal import FAILED, Json, Refused, Terminal, begin
from service.cli.words import size

if TYPE_CHECKING:
    from service.backup import Manifest

DataDir = Annotated[
    Path, typer.Option(help="Folder of database, exports and runs.", envvar="RETORT_DATA_DIR", file_okay=False)
]


def backup(
    ctx: typer.Context,
    target: Annotated[Path, typer.Argument(help="A new folder, or a new file that ends in .tar.zst.")],
    data_dir: DataDir = Path("data"),
    json: Json = False,
) -> None:
    """Back up database and data folder, while Retort runs or not; on a machine that has both.

    All of it is of one moment: every answer stored before is in, once. Trainings that are under way begin anew after a
    restore. The database is RETORT_DATABASE_URL's, where that is set, and needs pg_dump then.
    """
    from service.backup import make
    from service.cli.launch import settings_for
    from service.store.database import Database

    terminal = begin(ctx, json)
    settings = settings_for(data_dir)
    if not settings.database_url and not (data_dir / "retort.db").is_file():
        raise Refused(f"there is no Retort in {data_dir}; give its --data-dir, or RETORT_DATABASE_URL")
    with closing(Database(settings.url())) as database, _told(terminal, f"backing up {data_dir}") as progress:
        manifest = make(database, settings, target, progress)
    terminal.show(_summary(manifest, target), lambda terminal: _view(terminal, manifest, f"{target}:"))


def restore(
    ctx: typer.Context,
    source: Annotated[Path, typer.Argument(help="What `retort backup` made.", exists=True)],
    data_dir: DataDir = Path("data"),
    json: Json = False,
) -> None:
    """Put a backup into an empty data folder, and an empty Postgres database where it is of one.

    Every file is compared with its hash first; a damaged backup changes nothing.
    """
    from service.backup import restore as put_back
    from service.cli.launch import lock, settings_for

    terminal = begin(ctx, json)
    settings = settings_for(data_dir)
    with lock(settings), _told(terminal, "checking and restoring") as progress:
        manifest = put_back(settings, source, progress)
    terminal.show(_summary(manifest, data_dir), lambda terminal: _view(terminal, manifest, f"{data_dir} holds again"))
    if not terminal.json:
        terminal.note("start it with `retort up`")


@contextmanager
def _told(terminal: Terminal, title: str) -> Iterator[Callable[[int], None]]:
    from service.archive import BackupFailed

    try:
        with bytes_bar(terminal, title, None) as progress:
            yield progress
    except BackupFailed as error:
        raise Refused(str(error), FAILED) from error


def _summary(manifest: "Manifest", path: Path) -> dict[str, Any]:
    told = manifest.model_dump(exclude={"files"})
    return {"path": str(path), **told, "files": len(manifest.files), "bytes": manifest.bytes}


def _view(terminal: Terminal, manifest: "Manifest", head: str) -> None:
    made = datetime.fromtimestamp(manifest.created_at, UTC)
    counts = ", ".join(f"{count:,} {name}" for name, count in manifest.counts.items())
    terminal.say(
        f"{head} {counts}; {len(manifest.files):,} files, {size(manifest.bytes)}, of {made:%Y-%m-%d %H:%M} UTC"
    )
    for path in manifest.missing:
        terminal.say(
            f"  was not there: {path} (`retort rebuild NAME@N` writes a version's folder anew)", style="yellow"
        )
    for path in manifest.left_out:
        terminal.say(f"  under way, begins anew after a restore: {path}", style="dim")
