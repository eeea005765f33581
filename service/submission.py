"""Taking in a batch, whose body is on disk: every row is checked and stored, whole or not at all.

Rows are stored in chunks, and the request that does so holds the batch: by the database's clock, renewed with every
chunk. When it dies, the same body under the same key takes the batch over and goes on after the last chunk.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from service import gradable, ingest
from service.errors import Conflict, Problem
from service.formats import detect
from service.formats.columns import Columns
from service.formats.detect import Format
from service.formats.record import Record
from service.models import Batch, BatchState
from service.models.columns import new_id
from service.settings import Settings
from service.spooling import Spooled
from service.store import batches, teachers
from service.store.batches import HoldLost
from service.store.database import Database

CHUNK_ROWS, CHUNK_BYTES = 2_000, 4 * 2**20
"""Prompts stored in one transaction, whichever comes first: other writers wait no longer than this takes."""
HOLD_S = 15.0
"""A request that stored nothing for so long is dead: a chunk takes a second, a full disk queue several."""
KEEP_S = 24 * 3600.0
"""How long a half-stored batch waits for its body to be sent again under its key."""


SAID = ("completion_window", "accept_k", "token_budget", "imported")
"""Columns of a batch that its submitter decides on, beside those that every batch has."""


@dataclass(frozen=True, slots=True)
class Order:
    """How the prompts of a batch are to be asked, and under which key they were submitted."""

    teachers: list[str]
    n: int
    sampling: dict[str, Any]
    meta: dict[str, Any]
    idempotency_key: str | None = None
    origin: dict[str, Any] = field(default_factory=dict)
    """Further columns of the batch: the uploaded file it is made of, when it expires, when a prompt has enough."""
    refuse_ungradable: bool = False
    """Whether a reference that its verifier cannot grade is a mistake; else the batch tells how many there are."""

    def digest(self, body: Spooled) -> str:
        """Return the hash that tells a repeated submission from another one under the same key."""
        said = [self.teachers, self.n, self.sampling, self.meta, body.sha256]
        if body.form != Format.JSONL or body.columns:
            columns = body.columns
            said.append([body.form, columns and [dict(columns.places), columns.rest]])
        said += [[name, self.origin[name]] for name in SAID if name in self.origin]
        return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


def ask_them(session: Session, order: Order) -> None:
    """Raise a Problem where one of the teachers cannot be asked."""
    for name in order.teachers:
        teachers.asked(session, name)


Row = tuple[dict[str, Any], Record]


@dataclass(frozen=True, slots=True)
class Intake:
    """What becomes of the rows of a body. Every step runs in the transaction of the session it gets."""

    ready: Callable[[Session, Order], None] = ask_them
    """Before anything is stored; raises a Problem."""
    join: Callable[[Iterable[Row]], Iterable[Row]] = iter
    """Makes one row of several that belong together."""
    keep: Callable[..., bool] = lambda *chunk, **hold: batches.keep_chunk(*chunk, **hold)
    """Stores a chunk of rows, as `batches.keep_chunk` does."""
    open: Callable[[Session, Batch, Settings], Batch] = lambda session, batch, settings: batches.open_for_work(
        session, batch, shard_prompts=settings.shard_prompts
    )
    """When all rows are stored: from now on the batch is there."""


ASKED = Intake()
"""Prompts, which the workers ask."""


def accept(
    database: Database,
    settings: Settings,
    order: Order,
    body: Spooled,
    form: ingest.Form = ingest.NATIVE,
    intake: Intake = ASKED,
) -> tuple[Batch, bool]:
    """Store a batch, one prompt a row of `form`, and open it for work; return it and whether it is new.

    The same key with the same body gives the batch that it made before, or goes on with one that broke off; with
    another body it is a Conflict, and so it is while another request is taking it in. When a row is refused nothing
    stays behind.
    """
    with database.read() as session:
        intake.ready(session, order)
    holder = new_id("intake")
    batch, mine = _begin(database, order, order.digest(body), holder)
    if not mine:
        return batch, False
    try:
        _store(database, settings, batch.id, holder, body, form, intake, refuse_ungradable=order.refuse_ungradable)
        with database.write() as session:
            batches.keep_hold(session, batch.id, holder, for_s=HOLD_S)
            return intake.open(session, batches.get(session, batch.id), settings), True
    except HoldLost:
        raise
    except Problem:
        _discard(database, batch.id, holder)
        raise
    except BaseException:
        with suppress(Exception):  # the database itself may be what broke
            _put_down(database, order, batch.id, holder)
        raise


def sweep(database: Database) -> None:
    """Remove what dead requests left half-stored and nobody will go on with; for the start of an API process."""
    if database.embedded:
        # Beside other API processes a request may be alive in one of them; the embedded database has no others.
        with database.write() as session:
            batches.let_all_go(session)
    with database.read() as session:
        stale = batches.abandoned(session, keep_s=KEEP_S)
    for batch_id in stale:
        _discard(database, batch_id, new_id("sweep"))


def _begin(database: Database, order: Order, digest: str, holder: str) -> tuple[Batch, bool]:
    """Return the batch of the order's key, made now where there is none, and whether its prompts are ours to store."""
    known = _known(database, order)
    if known is None:
        values = {"teachers": order.teachers, "n": order.n, "sampling": order.sampling, "meta": order.meta}
        batch = Batch(idempotency_key=order.idempotency_key, body_sha256=digest, **values, **order.origin)
        try:
            with database.write() as session:
                session.add(batch)
                session.flush()
                batches.hold(session, batch.id, holder, for_s=HOLD_S)
            return batch, True
        except IntegrityError:
            # Another request was faster by a moment.
            known = _known(database, order)
            if known is None:
                raise
    if known.body_sha256 != digest:
        raise Conflict(
            f"the key '{known.idempotency_key}' stands for batch {known.id}, which had another body or other settings; "
            "use a new key for a new batch"
        )
    if known.state != BatchState.VALIDATING:
        return known, False
    with database.write() as session:
        if batches.hold(session, known.id, holder, for_s=HOLD_S):
            return known, True
        wait_s = max(1, math.ceil(batches.held_for_s(session, known.id)))
    message = f"a batch under the key '{known.idempotency_key}' is being taken in right now"
    raise Conflict(message, headers={"Retry-After": str(wait_s)})


def _known(database: Database, order: Order) -> Batch | None:
    if order.idempotency_key is None:
        return None
    with database.read() as session:
        return batches.by_key(session, order.idempotency_key)


class _Repeated(Exception):
    """Rolls back a chunk in which an id repeats."""


def _store(
    database: Database,
    settings: Settings,
    batch_id: str,
    holder: str,
    body: Spooled,
    form: ingest.Form,
    intake: Intake,
    *,
    refuse_ungradable: bool,
) -> None:
    """Store the rows of a body beyond those that are there. Raises a Problem that names the bad ones, and HoldLost."""
    with database.read() as session:
        after = batches.last_line(session, batch_id)
    found = ingest.Findings(body.form.place)
    columns = body.columns or Columns(ingest.FIELDS, {}, ingest.NEEDED)
    records = detect.records(body.path, body.form, columns, settings.row_bytes_max, after=after)
    rows = ingest.read(records, found, form=form, columns=body.columns)
    empty = after == 0
    for chunk in _chunks(intake.join(rows)):
        empty = False
        unfit = list(gradable.ungradable(chunk))
        if refuse_ungradable:
            for each in unfit:
                found.add(each["line"], [gradable.fault(each)])
        try:
            if found:  # nothing will stay: the rest is only looked through for its mistakes
                raise _Repeated
            with database.write() as session:
                if not intake.keep(session, batch_id, holder, chunk, for_s=HOLD_S):
                    raise _Repeated
                if unfit:
                    batches.note_ungradable(session, batch_id, unfit, shown_max=gradable.SHOWN_MAX)
        except _Repeated:
            with database.write() as session:
                batches.keep_hold(session, batch_id, holder, for_s=HOLD_S)
                _note_repeated(session, batch_id, chunk, found, form)
    found.refuse()
    if empty:
        raise ingest.nothing()


def _chunks(rows: Iterable[tuple[dict[str, Any], Record]]) -> Iterator[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    size = 0
    for row, record in rows:
        chunk.append(row)
        size += record.bytes
        if len(chunk) == CHUNK_ROWS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _note_repeated(
    session: Session, batch_id: str, chunk: list[dict[str, Any]], found: ingest.Findings, form: ingest.Form
) -> None:
    """Note the rows of a chunk whose id stands before them, in the chunk or among those that are stored."""
    lines = batches.lines_of_keys(session, batch_id, (row["key"] for row in chunk))
    for row in chunk:
        first = lines.setdefault(row["key"], row["line"])
        if first != row["line"]:
            found.add(row["line"], [ingest.repeated(row["key"], first, form, found.place)])


def _put_down(database: Database, order: Order, batch_id: str, holder: str) -> None:
    """Leave a batch that broke off to its repetition; without a key there can be none."""
    if order.idempotency_key is None:
        _discard(database, batch_id, holder)
        return
    with database.write() as session:
        batches.let_go(session, batch_id, holder)


def _discard(database: Database, batch_id: str, holder: str) -> None:
    with suppress(HoldLost):
        more = True
        while more:
            with database.write() as session:
                more = batches.discard_some(session, batch_id, holder, for_s=HOLD_S)
