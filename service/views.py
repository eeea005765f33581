"""Rows of the tables, joined into what the native routes and the pages show."""

import time
from collections.abc import Sequence
from typing import Any

import orjson
import zstandard
from sqlmodel import Session

from service import label_view
from service.api.shapes.batches import BatchOut
from service.api.shapes.datasets import VersionOut
from service.api.shapes.traces import LedgerRow, TraceDetail, TraceOut, VerdictOut
from service.models import Batch, DatasetVersion, Prompt, Teacher, Trace, VerdictRow
from service.store import batches, datasets, reviews, traces


def batch_out(session: Session, batch: Batch) -> BatchOut:
    """Return a batch with its counts, reasons, speed and the time it still needs."""
    counts = batches.counts(session, batch)
    started = batches.started_at(session, batch.id)
    elapsed_s = (batch.finished_at or time.time()) - started if started else 0.0
    done = counts["stored"] + counts["failed"]
    answers_per_s = done / elapsed_s if elapsed_s > 0 else None
    return BatchOut.model_validate(
        batch.model_dump()
        | counts
        | {
            "counts": counts,
            "use": _use(session, batch.id),
            "soft_labels": label_view.of_batch(session, batch, counts),
            "reasons": batches.reasons(session, batch.id) if counts["failed"] else {},
            "waiting": batches.waiting(session, batch.id) if counts["pending"] else {},
            "answers_per_s": answers_per_s,
            "tokens_per_s": counts["completion_tokens"] / elapsed_s if elapsed_s > 0 else None,
            "eta_s": counts["pending"] / answers_per_s if answers_per_s and counts["pending"] else None,
        }
    )


def _use(session: Session, batch_id: str) -> dict[str, Any]:
    """Return what each teacher did, with GPU-hours and cost where its registration says how many and how dear."""
    found = {}
    for name, done in batches.use(session, batch_id).items():
        teacher = session.get(Teacher, name)
        hours = done["busy_s"] / 3600 * teacher.gpus if teacher and teacher.gpus else None
        price = teacher.gpu_hour_price if teacher else None
        cost = hours * price if hours is not None and price is not None else None
        tokens = done["completion_tokens"]
        each = cost / tokens * 1e6 if cost is not None and tokens else None
        found[name] = done | {"gpu_hours": hours, "cost": cost, "cost_per_million_tokens": each}
    return found


def trace_out(trace: Trace, prompt: Prompt, verdict: VerdictRow | None, tags: Sequence[str] = ()) -> TraceOut:
    """Return a trace with its prompt, the verdict that was asked about, and its tags."""
    return TraceOut.model_validate(_trace_values(trace, prompt, verdict) | {"tags": list(tags)})


def traces_out(session: Session, rows: Sequence[Any]) -> list[TraceOut]:
    """Return rows of `traces.page` with the tags that people gave them."""
    tags = reviews.tags(session, [trace.id for trace, _, _ in rows])
    return [trace_out(trace, prompt, verdict, tags.get(trace.id, ())) for trace, prompt, verdict in rows]


def trace_detail(session: Session, trace_id: int) -> TraceDetail:
    """Return everything known about one trace."""
    trace, prompt = traces.get(session, trace_id)
    found = traces.verdicts(session, trace_id)
    verdicts = [VerdictOut.model_validate(row.model_dump() | {"version": name}) for row, name in found]
    raw = orjson.loads(zstandard.decompress(trace.raw)) if trace.raw else None
    said = reviews.of_trace(session, trace_id)
    values = _trace_values(trace, prompt, found[0][0] if found else None)
    told = {"reviews": [review.model_dump() for review in said], "tags": said[0].tags if said else []}
    return TraceDetail.model_validate(values | {"verdicts": verdicts, "raw": raw, **told})


def _trace_values(trace: Trace, prompt: Prompt, verdict: VerdictRow | None) -> dict[str, Any]:
    asked = {name: getattr(prompt, name) for name in ("key", "messages", "reference", "category", "meta")}
    judged = {name: getattr(verdict, name, None) for name in ("outcome", "reason", "detail")}
    return trace.model_dump(exclude={"raw"}) | {"batch": trace.batch_id} | asked | judged


def version_out(session: Session, version: DatasetVersion) -> VersionOut:
    """Return a dataset version with the progress of its curation."""
    return VersionOut.model_validate(version.model_dump() | {"progress": datasets.progress(session, version)})


def ledger_row(verdict: VerdictRow, prompt_id: int, category: str) -> LedgerRow:
    """Return one row of a version's ledger."""
    return LedgerRow.model_validate(
        verdict.model_dump() | {"trace": verdict.trace_id, "prompt_id": prompt_id, "category": category}
    )
