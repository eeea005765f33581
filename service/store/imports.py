"""Storing traces that were made elsewhere: prompts with their answers, in a batch that is complete from the start."""

import time
from collections.abc import Sequence
from typing import Any

from sqlmodel import Session, case, col, func, select

from service.errors import Conflict
from service.models import Batch, BatchState, Failure, Job, JobKind, JobState, Prompt, Review, Teacher, Trace
from service.store import batches, events
from service.store.database import Clock, insert_new, storable
from service.teachers.reasoning import EMPTY_BLOCK_TOKENS

ANSWERS = ("traces", "failures")
"""Keys of a row that are no columns of the prompt."""


def check_teacher(session: Session, name: str, license: str) -> None:
    """Raise Conflict where a teacher of this name is registered with another licence: one of the two is wrong."""
    known = session.get(Teacher, name)
    if known is not None and known.license != license:
        raise Conflict(
            f"teacher '{name}' is registered with the licence '{known.license or 'unknown'}', the import says "
            f"'{license or 'unknown'}'; import under another name, or put the registration right first"
        )


def keep_chunk(session: Session, batch_id: str, holder: str, rows: Sequence[dict[str, Any]], *, for_s: float) -> bool:
    """Store a chunk of prompts with their answers, as `batches.keep_chunk` does prompts alone."""
    prompts = [{name: value for name, value in row.items() if name not in ANSWERS} for row in rows]
    if not batches.keep_chunk(session, batch_id, holder, prompts, for_s=for_s):
        return False
    teacher = batches.get(session, batch_id).teachers[0]
    ids = batches.ids_of_keys(session, batch_id, [row["key"] for row in rows])
    traces: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    for row in rows:
        common = {"batch_id": batch_id, "prompt_id": ids[row["key"]], "teacher": teacher}
        traces += [trace | common | {"sample_index": index} for index, trace in enumerate(row["traces"])]
        for index, failure in enumerate(row["failures"], start=len(row["traces"])):
            told = {"reason": failure["reason"], "detail": storable(failure["detail"]), "attempts": 1}
            failures.append(common | told | {"sample_index": index, "created_at": time.time()})
    places = ((trace["prompt_id"], trace["sample_index"], trace.pop("review", None)) for trace in traces)
    reviews = {(prompt_id, index): said for prompt_id, index, said in places if said}
    insert_new(session, Trace, traces)
    insert_new(session, Failure, failures)
    if reviews:
        _review(session, reviews)
    return True


def _review(session: Session, reviews: dict[tuple[int, int], dict[str, str]]) -> None:
    """Note what the source said of answers, by prompt and sample index, as the verdicts of the people behind it."""
    prompts = [prompt_id for prompt_id, _ in reviews]
    stored = select(Trace.id, Trace.prompt_id, Trace.sample_index).where(col(Trace.prompt_id).in_(prompts))
    for trace_id, *place in session.exec(stored).all():
        if said := reviews.get((place[0], place[1])):
            session.add(Review.model_validate({"trace_id": trace_id, **said}))


def complete(session: Session, batch: Batch) -> Batch:
    """Open an imported batch: it has ended as it begins. Its teacher is registered, without a server, if nobody was.

    Raises Conflict where another licence was registered meanwhile.
    """
    name, about = batch.teachers[0], batch.imported or {}
    check_teacher(session, name, about["license"])
    if session.get(Teacher, name) is None:
        session.add(Teacher(name=name, base_url="", model=about["model"] or name, license=about["license"]))
    batch.n = session.exec(select(func.max(Prompt.n)).where(Prompt.batch_id == batch.id)).one() or 1
    session.add(
        Job(kind=JobKind.GENERATE, subject=batch.id, teacher=name, state=JobState.DONE, **_sums(session, batch))
    )
    batch.state, batch.finished_at = BatchState.COMPLETED, time.time()
    batch.holder, batch.held_until = "", 0.0
    session.add(batch)
    session.flush()
    events.emit(session, "batch.completed", batch.id, **batches.counts(session, batch))
    return batch


def _sums(session: Session, batch: Batch) -> dict[str, Any]:
    """Return the counts of the batch's one job."""
    lost = case((col(Trace.reasoning_tokens) > EMPTY_BLOCK_TOKENS, 1), else_=0) * case(
        (col(Trace.reasoning) == "", 1), else_=0
    )
    counted = {name: getattr(Trace, name) for name in ("prompt_tokens", "completion_tokens", "reasoning_tokens")}
    sums = [func.coalesce(func.sum(column), 0) for column in (*counted.values(), lost)]
    row = session.connection().execute(select(func.count(), *sums).where(Trace.batch_id == batch.id)).one()
    found = dict(zip(("stored", *counted, "reasoning_lost"), map(int, row), strict=True))
    failed = session.exec(select(func.count()).select_from(Failure).where(Failure.batch_id == batch.id)).one()
    first, last = session.exec(
        select(func.min(Prompt.id), func.max(Prompt.id)).where(Prompt.batch_id == batch.id)
    ).one()
    span = {"first_prompt": first or 0, "last_prompt": last or 0, "finished_at": Clock()}
    return found | span | {"failed": failed, "total": found["stored"] + failed}
