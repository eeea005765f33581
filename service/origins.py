"""Where a trace is from: the line of a file that asked for it, who answered and how it was sampled, its parents."""

from typing import Any

import orjson
import zstandard
from sqlmodel import Session

from service.api.shapes.traces import Origin
from service.errors import NotFound
from service.models import Batch, File, Prompt, Teacher, Trace
from service.store import batches, traces

PARENTS_MAX = 16
"""A rewriting of a rewriting, and so on: followed back so far."""


def of(session: Session, trace_id: int, *, parents: int = PARENTS_MAX) -> Origin:
    """Return the origin of a trace; NotFound where there is none."""
    trace, prompt = traces.get(session, trace_id)
    batch = batches.get(session, trace.batch_id)
    teacher = session.get(Teacher, trace.teacher)
    file, sha256 = _file(session, batch)
    return Origin(
        trace=trace_id,
        batch=batch.id,
        made="rewritten" if batch.rewrite else "imported" if batch.imported else "asked",
        file=file,
        sha256=sha256,
        row=prompt.line,
        prompt=prompt.key,
        source=prompt.source,
        license=prompt.license,
        teacher=trace.teacher,
        model=teacher.model if teacher else "",
        revision=teacher.revision if teacher else None,
        teacher_license=teacher.license if teacher else "",
        sample_index=trace.sample_index,
        sampling=_sampling(batch, prompt),
        imported=_imported(trace) if batch.imported else None,
        rewrite=batch.rewrite,
        parent=_parent(session, trace, parents),
    )


def _file(session: Session, batch: Batch) -> tuple[str, str]:
    if batch.input_file_id:
        file = session.get(File, batch.input_file_id)
        return (file.filename, file.sha256) if file else (batch.input_file_id, "")
    said = batch.submitted or {}
    return said.get("file") or "", said.get("sha256") or ""


def _sampling(batch: Batch, prompt: Prompt) -> dict[str, Any]:
    own = {name: value for name, value in (prompt.body or {}).items() if name not in ("messages", "model")}
    return batch.sampling | own


def _imported(trace: Trace) -> dict[str, Any] | None:
    return orjson.loads(zstandard.decompress(trace.raw)).get("imported") if trace.raw else None


def _parent(session: Session, trace: Trace, parents: int) -> Origin | None:
    if trace.parent_id is None or not parents:
        return None
    try:
        return of(session, trace.parent_id, parents=parents - 1)
    except NotFound:  # its batch was deleted
        return None
