"""Taking in a batch: the body goes to disk as it comes, then every line is checked and stored, whole or not at all."""

import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy.exc import IntegrityError

from service import ingest
from service.errors import Conflict
from service.models import Batch, BatchState
from service.settings import Settings
from service.store import batches, teachers
from service.store.database import Database

CHUNK_ROWS = 2_000
"""Prompts stored in one transaction: other writers wait no longer than this takes."""


@dataclass(frozen=True, slots=True)
class Order:
    """How the prompts of a batch are to be asked, and under which key they were submitted."""

    teachers: list[str]
    n: int
    sampling: dict[str, Any]
    meta: dict[str, Any]
    idempotency_key: str | None = None
    origin: dict[str, Any] = field(default_factory=dict)
    """Further columns of the batch: the uploaded file it is made of, and when it expires."""

    def digest(self, body_sha256: str) -> str:
        """Return the hash that tells a repeated submission from another one under the same key."""
        said = [self.teachers, self.n, self.sampling, self.meta, body_sha256]
        if "completion_window" in self.origin:
            said.append(self.origin["completion_window"])
        return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(frozen=True, slots=True)
class Spooled:
    """A body on disk."""

    path: Path
    sha256: str


@contextmanager
def spool_file(settings: Settings) -> Iterator[Path]:
    """Yield the path of a new file in the data folder; it is gone afterwards."""
    folder = settings.data_dir / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, suffix=".part")
    os.close(handle)
    try:
        yield Path(name)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


async def spool(chunks: AsyncIterator[bytes], path: Path) -> Spooled:
    """Write a body to `path` as it arrives, so that its size costs no memory."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        async for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)
    return Spooled(path, digest.hexdigest())


def accept(
    database: Database, settings: Settings, order: Order, body: Spooled, form: ingest.Form = ingest.NATIVE
) -> tuple[Batch, bool]:
    """Store a batch, one prompt a line of `form`, and open it for work; return it and whether it is new.

    The same key with the same body gives the batch that it made before; with another body it is a Conflict. When a line
    is refused nothing stays behind.
    """
    digest = order.digest(body.sha256)
    with database.read() as session:
        for name in order.teachers:
            teachers.get(session, name)
        known = batches.by_key(session, order.idempotency_key) if order.idempotency_key else None
    if known is not None:
        return _repeated(known, digest), False
    batch = _begin(database, order, digest)
    try:
        with body.path.open("rb") as file:
            lines = ingest.lines_of(file, settings.row_bytes_max)
            rows = ingest.read_lines(lines, row_bytes_max=settings.row_bytes_max, form=form)
            while chunk := list(islice(rows, CHUNK_ROWS)):
                with database.write() as session:
                    batch.prompts += batches.add_prompts(session, batch, chunk)
        with database.write() as session:
            batch = batches.open_for_work(session, session.merge(batch), shard_prompts=settings.shard_prompts)
    except BaseException:
        with database.write() as session:
            batches.discard(session, batch.id)
        raise
    return batch, True


def _begin(database: Database, order: Order, digest: str) -> Batch:
    values = {"teachers": order.teachers, "n": order.n, "sampling": order.sampling, "meta": order.meta}
    batch = Batch(idempotency_key=order.idempotency_key, body_sha256=digest, **values, **order.origin)
    try:
        with database.write() as session:
            session.add(batch)
    except IntegrityError as error:
        raise Conflict(f"a batch under the key '{order.idempotency_key}' is being taken in right now") from error
    return batch


def _repeated(known: Batch, digest: str) -> Batch:
    if known.state == BatchState.VALIDATING:
        raise Conflict(f"a batch under the key '{known.idempotency_key}' is being taken in right now")
    if known.body_sha256 != digest:
        raise Conflict(
            f"the key '{known.idempotency_key}' stands for batch {known.id}, which had another body or other settings; "
            "use a new key for a new batch"
        )
    return known
