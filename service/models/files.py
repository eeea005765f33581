"""Files: what was uploaded over the OpenAI door."""

import secrets
from enum import StrEnum

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from service.models.columns import created, json_field, word


class Purpose(StrEnum):
    """OpenAI's words for what a file is for."""

    BATCH = "batch"
    """One request a line; checked in full when it is uploaded."""
    FINE_TUNE = "fine-tune"
    """One example a line."""
    FINE_TUNE_RESULTS = "fine-tune-results"
    """The losses of a training: read from what its trainer told, never uploaded."""
    BATCH_OUTPUT = "batch_output"
    """What a batch answered or could not answer: read from its traces, never uploaded."""


def _new_file_id() -> str:
    return f"file-{secrets.token_hex(12)}"


class File(SQLModel, table=True):
    """An uploaded file; its bytes lie in the data folder under its id.

    Deleting one removes the bytes and leaves the row, so that a batch can still say what it was made of. An output file
    has no row until it is deleted: it is a view of its batch.
    """

    id: str = Field(default_factory=_new_file_id, primary_key=True)
    purpose: Purpose = word(Purpose, index=True)
    filename: str
    """As the uploader called it; shown, never a path."""
    size_bytes: int = Field(sa_type=BigInteger)
    sha256: str
    lines: int = 0
    teachers: list[str] = json_field(list)
    """Those that the lines of a batch file name as their `model`."""
    created_at: float = created()
    deleted_at: float | None = None
