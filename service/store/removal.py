"""Deleting versions and batches: nothing that something else was made from, and in pieces that hold no lock for long.

A number is never given twice, so a deleted version leaves its row, without ledger or folder. A batch leaves nothing.
What broke off goes on when it is asked for again.
"""

import time
from collections.abc import Sequence

from sqlalchemy import delete, func, select
from sqlmodel import Session, col

from service.errors import Conflict
from service.models import (
    Batch,
    BatchState,
    DatasetVersion,
    Failure,
    Job,
    Prompt,
    Review,
    Run,
    SoftLabels,
    Tag,
    Trace,
    VerdictRow,
    VersionState,
)
from service.models.batches import ENDED
from service.store import batches, datasets, events, queue, renders
from service.store.completions import STANDING

LEDGER_ROWS = 20_000
PROMPT_ROWS = 1_000
"""Prompts of one transaction, with their traces; each may have dozens."""
NAMED_MAX = 5


def begin_version(session: Session, dataset: str, number: int) -> tuple[DatasetVersion, bool]:
    """Take a version out of use; return it and whether it was in use until now.

    Conflict names what was made from it, or is being made.
    """
    version = datasets.version(session, dataset, number)
    label = f"{dataset}@{number}"
    if version.state == VersionState.DELETED:
        return version, False
    if version.state == VersionState.CURATING:
        raise Conflict(f"{label} is being curated; wait until it is sealed or has failed")
    if queue.unfinished(session, label):
        raise Conflict(f"{label} is being rebuilt; wait until that has ended")
    runs = select(Run.id).where(col(Run.dataset) == dataset, col(Run.version) == number).order_by(col(Run.created_at))  # pyright: ignore[reportCallIssue, reportArgumentType]
    _refuse(f"students were trained on {label}", session.scalars(runs).all())
    # Copies of its rows are no longer its own, but whoever rewrites, renders or curates now is still reading them.
    rewritten = [batch for batch in _rewritten(session) if (batch.rewrite or {}).get("version") == label]
    _refuse(f"traces of {label} were rewritten into batches", [batch.id for batch in rewritten])
    _refuse(f"{label} is being rendered", renders.unfinished(session, dataset, number))
    curating = [
        f"{other.dataset}@{other.number}"
        for other in session.scalars(select(DatasetVersion).where(col(DatasetVersion.state) == VersionState.CURATING))
        if not set(other.batches).isdisjoint(version.batches)
    ]
    _refuse(f"verdicts of {label} may be reused by what is being curated", curating)
    version.state, version.detail = VersionState.DELETED, f"deleted; it was {version.state}"
    session.add(version)
    events.emit(session, "version.deleted", label)
    return version, True


def clear_ledger(session: Session, version_id: int) -> bool:
    """Delete some of a deleted version's verdicts; False when none is left."""
    some = select(VerdictRow.id).where(col(VerdictRow.version_id) == version_id).limit(LEDGER_ROWS)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return session.connection().execute(delete(VerdictRow).where(col(VerdictRow.id).in_(some))).rowcount > 0


def end_version(session: Session, version_id: int) -> None:
    """Note that the folder of a deleted version is gone too."""
    version = session.get(DatasetVersion, version_id)
    if version is not None:
        version.path = ""
        session.add(version)


def begin_batch(session: Session, batch_id: str) -> tuple[Batch, bool]:
    """Take a batch out of use; return it and whether it was in use until now.

    Conflict names the versions, batches and runs that were made from it.
    """
    batch = batches.get(session, batch_id)
    if batch.state == BatchState.DELETING:
        return batch, False
    if batch.id.startswith(STANDING):
        raise Conflict(f"{batch_id} holds stored chat completions; they are deleted one by one at /v1/chat/completions")
    if batch.state not in ENDED:
        raise Conflict(f"batch {batch_id} is {batch.state}; cancel it first")
    if queue.unfinished(session, batch_id):
        raise Conflict(f"a worker is still at batch {batch_id}; wait, or cancel that")
    held = [
        f"{version.dataset}@{version.number}"
        for version in session.scalars(select(DatasetVersion).where(col(DatasetVersion.state) != VersionState.DELETED))
        if batch_id in version.batches
    ]
    _refuse(f"versions hold traces of batch {batch_id}", held)
    rewritten = [other.id for other in _rewritten(session) if batch_id in (other.rewrite or {}).get("batches", ())]
    _refuse(f"traces of batch {batch_id} were rewritten into batches", rewritten)
    _refuse(
        f"students were measured on batch {batch_id}",
        [run.id for run in session.scalars(select(Run)) if batch_id in run.evaluation],
    )
    starting = col(Batch.state) == BatchState.VALIDATING
    taking = select(Batch.id).where(col(Batch.continues) == batch_id, starting)  # pyright: ignore[reportCallIssue, reportArgumentType]
    _refuse(f"the answers of batch {batch_id} are being taken over", session.scalars(taking).all())
    batch.state, batch.finished_at = BatchState.DELETING, time.time()
    session.add(batch)
    events.emit(session, "batch.deleting", batch_id)
    return batch, True


def clear_batch(session: Session, batch_id: str) -> bool:
    """Delete some of a batch's prompts with all that came of them, and at the end itself; False when it is gone."""
    mine = select(Prompt.id).where(col(Prompt.batch_id) == batch_id)  # pyright: ignore[reportCallIssue, reportArgumentType]
    some = mine.order_by(col(Prompt.id)).limit(PROMPT_ROWS).subquery()
    first, last = session.connection().execute(select(func.min(some.c.id), func.max(some.c.id))).one()
    run = session.connection().execute
    if first is None:
        run(delete(Job).where(col(Job.subject) == batch_id))
        run(delete(Batch).where(col(Batch.id) == batch_id))
        events.emit(session, "batch.deleted", batch_id)
        return False
    span = col(Prompt.id).between(first, last), col(Prompt.batch_id) == batch_id
    prompts = select(Prompt.id).where(*span)  # pyright: ignore[reportCallIssue, reportArgumentType]
    traces = select(Trace.id).where(col(Trace.prompt_id).in_(prompts))  # pyright: ignore[reportCallIssue, reportArgumentType]
    for table in (SoftLabels, Review, Tag, VerdictRow):
        run(delete(table).where(col(table.trace_id).in_(traces)))
    for table in (Trace, Failure):
        run(delete(table).where(col(table.prompt_id).in_(prompts)))
    run(delete(Prompt).where(*span))
    return True


def _rewritten(session: Session) -> Sequence[Batch]:
    """Return the batches of rewritten traces."""
    return [batch for batch in session.scalars(select(Batch)) if batch.rewrite]


def _refuse(what: str, names: Sequence[str]) -> None:
    if names:
        more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
        raise Conflict(f"{what}: {', '.join(names[:NAMED_MAX])}{more}; nothing was deleted")
