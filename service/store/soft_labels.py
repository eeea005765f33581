"""Soft labels in the database: kept with new traces, and read again."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col, func

from service.errors import NotFound
from service.models import Batch, Job, LabelSource, SoftLabels, Teacher, Trace
from service.soft_labels import TopK, pack, unpack
from service.store.database import insert_new, storable
from service.teachers.protocol import Completion


def rows(traces: Sequence[dict[str, Any]], completions: Sequence[Completion]) -> list[dict[str, Any]]:
    """Return rows for `keep`, of those answers that brought soft labels, or logprobs that could not become any."""
    made = []
    for trace, completion in zip(traces, completions, strict=True):
        found, reason = completion.labels, completion.labels_missing
        about = {name: trace[name] for name in ("prompt_id", "sample_index", "created_at")}
        if found is not None:
            made.append(about | labels_row(found))
        elif reason:
            made.append(about | missing_row(reason))
    return made


def labels_row(labels: TopK) -> dict[str, Any]:
    """Return the columns that soft labels fill in."""
    return {"k": labels.k, "tokens": labels.tokens, "data": pack(labels), "reason": "", "detail": ""}


def missing_row(reason: str, detail: str = "") -> dict[str, Any]:
    """Return the same columns where there are none."""
    return {"k": 0, "tokens": 0, "data": b"", "reason": reason, "detail": storable(detail)}


def keep(session: Session, batch_id: str, teacher: str, rows: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Store soft labels that came with answers stored in this transaction; return how many there are, and their bytes.

    A row names its trace by `prompt_id`, `sample_index` and `created_at`: an answer that another worker was quicker to
    store differs in the last, and gets no labels of a text that it does not hold.
    """
    if not rows:
        return 0, 0
    query = select(Trace.id, Trace.prompt_id, Trace.sample_index, Trace.created_at).where(  # pyright: ignore[reportCallIssue, reportArgumentType]
        col(Trace.prompt_id).in_({row["prompt_id"] for row in rows}), col(Trace.teacher) == teacher
    )
    traces: dict[tuple[Any, ...], int] = {
        (row.prompt_id, row.sample_index, row.created_at): row.id for row in session.connection().execute(query)
    }
    common = {"batch_id": batch_id, "teacher": teacher, "source": LabelSource.SAMPLED}
    common["tokenizer_sha256"] = _tokenizer(session, teacher)
    names = ("k", "tokens", "data", "reason", "detail", "created_at")
    made = [
        {"trace_id": trace_id, **common, **{name: row[name] for name in names}}
        for row in rows
        if (trace_id := traces.get((row["prompt_id"], row["sample_index"], row["created_at"])))
    ]
    if not insert_new(session, SoftLabels, made):
        return 0, 0
    there = [row for row in made if row["k"]]
    return len(there), sum(len(row["data"]) for row in there)


def _tokenizer(session: Session, teacher: str) -> str:
    return session.scalar(select(Teacher.tokenizer_sha256).where(col(Teacher.name) == teacher)) or ""  # pyright: ignore[reportCallIssue, reportArgumentType]


def sampled(session: Session, batch_id: str) -> tuple[int, int]:
    """Return how many answers of a batch came with soft labels, and the bytes of those."""
    sums = [func.coalesce(func.sum(column), 0) for column in (Job.labels, Job.label_bytes)]
    row = session.connection().execute(select(*sums).where(col(Job.subject) == batch_id)).one()  # pyright: ignore[reportCallIssue, reportArgumentType]
    return int(row[0]), int(row[1])


def reasons(session: Session, batch_id: str) -> dict[str, int]:
    """Return how many traces have no soft labels, by the reason why."""
    # Greater, not unequal: the index then leads past the rows that have labels.
    missing = (col(SoftLabels.batch_id) == batch_id, col(SoftLabels.reason) > "")
    query = select(SoftLabels.reason, func.count()).where(*missing).group_by(col(SoftLabels.reason))  # pyright: ignore[reportCallIssue, reportArgumentType]
    return {row[0]: int(row[-1]) for row in session.connection().execute(query)}


def of_answers(session: Session, trace_ids: Sequence[int]) -> dict[int, TopK]:
    """Return the soft labels that came with answers, by trace: they are left out of the raw message."""
    found = read(session, trace_ids).items()
    return {trace_id: labels for trace_id, (row, labels) in found if row.source == LabelSource.SAMPLED}


def tokenizers(session: Session, names: Sequence[str]) -> dict[str, str]:
    """Return the tokenizer hashes that are stated for teachers now; empty where none is."""
    return {name: _tokenizer(session, name) for name in names}


def get(session: Session, trace_id: int) -> SoftLabels:
    """Return a trace's soft labels; NotFound where there are none, with the reason if it is known."""
    found = session.get(SoftLabels, trace_id)
    if found is None and session.get(Trace, trace_id) is None:
        raise NotFound(f"no trace has the id {trace_id}")
    if found is None:
        raise NotFound(f"trace {trace_id} has no soft labels; POST /api/batches/ID/soft-labels adds them")
    if found.reason:
        why = found.reason.replace("_", " ") + (f": {found.detail}" if found.detail else "")
        raise NotFound(f"trace {trace_id} has no soft labels: unavailable ({why})")
    return found


def read(session: Session, trace_ids: Sequence[int]) -> dict[int, tuple[SoftLabels, TopK]]:
    """Return the soft labels of those of `trace_ids` that have some, unpacked: for an export, some hundred at a time.

    At k = 20 a token takes 160 bytes in memory.
    """
    query = select(SoftLabels).where(col(SoftLabels.trace_id).in_(trace_ids), col(SoftLabels.k) > 0)
    return {row.trace_id or 0: (row, unpack(row.data)) for row in session.scalars(query)}


def are_there(session: Session, batch_ids: Sequence[str]) -> bool:
    """Return whether any trace of these batches has soft labels."""
    query = select(SoftLabels.trace_id).where(col(SoftLabels.batch_id).in_(batch_ids), col(SoftLabels.reason) == "")  # pyright: ignore[reportCallIssue, reportArgumentType]
    return session.scalars(query.limit(1)).first() is not None


def ordered_k(batch: Batch) -> int | None:
    """Return the k that a batch's answers were asked with; None where it asked for no soft labels."""
    k = batch.sampling.get("top_logprobs")
    return k if isinstance(k, int) and k > 0 else None
