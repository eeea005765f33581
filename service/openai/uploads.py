"""Checking and keeping an uploaded file: whole, or not at all."""

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from service.errors import NoSpace, Problem
from service.ingest import Form, lines_of, read_lines
from service.models.files import File, Purpose
from service.openai.errors import Refused
from service.openai.lines import form
from service.settings import Settings
from service.store import teachers
from service.store.database import Database

LINES_MAX = 50_000
"""Requests in one batch file: OpenAI's bound. More go over `POST /api/batches`, or in several files."""
SHOWN_MAX = 10
"""Bad lines that one refusal names."""


def path_of(settings: Settings, file_id: str) -> Path:
    """Return where the bytes of a file lie; the id is one of ours, never what a caller sent."""
    return settings.data_dir / "files" / f"{file_id}.jsonl"


def keep(database: Database, settings: Settings, spooled: Path, *, purpose: Purpose, filename: str) -> File:
    """Check a file that was spooled to disk and keep it; Refused with its bad lines, and then nothing is kept."""
    with database.read() as session:
        known = [teacher.name for teacher in teachers.every(session)]
    with spooled.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
        source.seek(0)
        try:
            lines, asked = _check(source, purpose, form(known), settings.row_bytes_max)
        except Refused:
            raise
        except Problem as problem:
            raise _refused(problem) from problem
    size_bytes = spooled.stat().st_size
    file = File(
        purpose=purpose, filename=filename, size_bytes=size_bytes, sha256=digest, lines=lines, teachers=sorted(asked)
    )
    path = path_of(settings, file.id)
    try:
        _place(spooled, path)
        with database.write() as session:
            session.add(file)
    except BaseException:
        remove(path)
        raise
    return file


@contextmanager
def room_needed() -> Iterator[None]:
    """Turn the system's error for a full disk into the one that a caller is told."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise NoSpace("the disk of the data folder is full; nothing of the file was kept") from error


def remove(path: Path) -> None:
    """Remove the bytes of a file, if they are there."""
    with suppress(FileNotFoundError):
        path.unlink()


def _check(source: BinaryIO, purpose: Purpose, batch_form: Form, row_bytes_max: int) -> tuple[int, set[str]]:
    """Return how many lines a file has, and which teachers they name; raises a Problem with the bad lines."""
    lines = lines_of(source, row_bytes_max)
    if purpose == Purpose.BATCH:
        asked = [row["teacher"] for row in read_lines(_few(lines), row_bytes_max=row_bytes_max, form=batch_form)]
        return len(asked), set(asked)
    return sum(1 for _ in read_lines(lines, row_bytes_max=row_bytes_max, form=EXAMPLES)), set()


def _example(data: dict[str, Any], line: int) -> dict[str, Any]:
    return {"key": line, "data": data}


EXAMPLES = Form(_example, {})
"""Examples for a training: any JSON object here; what it must hold is checked when a training takes it."""


def _few(lines: Iterable[bytes]) -> Iterator[bytes]:
    count = 0
    for line in lines:
        count += bool(line.strip())
        if count > LINES_MAX:
            message = f"the file has more than {LINES_MAX:,} lines; send several files, or POST /api/batches"
            raise Refused(message, param="file", code="too_many_lines")
        yield line


def _refused(problem: Problem) -> Refused:
    """Return the refusal of a file, with the first of its bad lines."""
    if not problem.errors:
        return Refused("the file holds no line", param="file", code="empty_file")
    shown = [_place_of(item) + str(item["message"]) for item in problem.errors[:SHOWN_MAX]]
    more = len(problem.errors) - len(shown)
    message = "; ".join(shown) + (f"; and {more} more" if more else "")
    return Refused(f"{message}. Nothing of the file was kept.", param="file", code=problem.errors[0].get("code"))


def _place_of(item: dict[str, Any]) -> str:
    return f"line {item['line']}" + (f", field '{item['field']}': " if item.get("field") else ": ")


def _place(spooled: Path, path: Path) -> None:
    """Move the bytes to their place; they are on the disk before anybody is told so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(spooled, path)
    for written, flags in ((path, os.O_RDWR), (path.parent, os.O_RDONLY)):
        handle = os.open(written, flags)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
