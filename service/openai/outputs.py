"""A batch's output and error file: views of its traces and failures, as they are at the moment of reading.

Nothing is written anywhere. A line is in the output file once all its answers are there, in the error file once one of
them cannot come any more; so both can be read while the batch runs, and after a crash there is nothing to rebuild.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from service.models import Batch, BatchState
from service.models.batches import ENDED
from service.openai.bodies import completion
from service.store import batches, files
from service.store.completions import line_completion_id
from service.store.database import Database
from service.store.files import Line

Kind = Literal["output", "errors"]
KINDS: tuple[Kind, ...] = ("output", "errors")


@dataclass(frozen=True, slots=True)
class OutputFile:
    """One of the two files of a batch."""

    batch_id: str
    kind: Kind

    @property
    def id(self) -> str:
        """The id under which clients read it."""
        return f"file-{self.kind}-{self.batch_id.removeprefix('batch_')}"

    @property
    def filename(self) -> str:
        """What it is called when it is saved."""
        return f"{self.batch_id}_{self.kind}.jsonl"


def named(file_id: str) -> OutputFile | None:
    """Return the output file that an id names; None when it is that of an uploaded file."""
    for kind in KINDS:
        prefix = f"file-{kind}-"
        if file_id.startswith(prefix):
            return OutputFile(f"batch_{file_id.removeprefix(prefix)}", kind)
    return None


def content(database: Database, file: OutputFile) -> Iterator[bytes]:
    """Yield the lines of an output file, some at a time, each piece read in a transaction of its own."""
    after = 0
    while True:
        with database.read() as session:
            batch = batches.get(session, file.batch_id)
            found = files.lines(session, batch, after=after)
        if not found:
            return
        after = found[-1].prompt_id
        rendered = [_output(line) if file.kind == "output" else _error(line, batch) for line in found]
        yield b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rendered if row)


def _output(line: Line) -> dict[str, Any] | None:
    if len(line.traces) < line.n:
        return None
    name = line_completion_id(line.prompt_id)
    body = completion(name, line.teacher, line.traces, labels=line.labels).model_dump(exclude={"metadata"})
    response = {"status_code": 200, "request_id": f"req_{line.prompt_id}", "body": body}
    return {"id": _line_id(line), "custom_id": line.custom_id, "response": response, "error": None}


def _error(line: Line, batch: Batch) -> dict[str, Any] | None:
    if len(line.traces) >= line.n:
        return None
    if line.failures:
        code, message = line.failures[0]
        message = message or code
    elif batch.state in ENDED:
        code, message = GIVEN_UP.get(batch.state, ("not_answered", f"the batch ended as {batch.state} before its turn"))
    else:
        return None
    if line.n > 1 and line.traces:
        message += f" ({len(line.traces)} of {line.n} answers came; they are traces of {batch.id})"
    error = {"code": code, "message": message}
    return {"id": _line_id(line), "custom_id": line.custom_id, "response": None, "error": error}


GIVEN_UP = {
    BatchState.CANCELLED: ("batch_cancelled", "the batch was cancelled before this line was answered"),
    BatchState.EXPIRED: ("batch_expired", "the batch expired before this line was answered"),
}


def _line_id(line: Line) -> str:
    return f"batch_req_{line.prompt_id}"
