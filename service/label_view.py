"""Soft labels as the native routes show them."""

from collections.abc import Mapping
from typing import Any

from sqlmodel import Session

from service.api.shapes.labels import BatchLabels, LabelsEstimate, TraceLabels
from service.models import Batch
from service.soft_labels import NO_TOKEN, bytes_max, bytes_per_token, unpack
from service.store import batches, rescoring, soft_labels

ENTRIES_MAX = 100_000
"""Of one page: some 2 MB of JSON."""


def of_batch(session: Session, batch: Batch, counts: Mapping[str, int]) -> BatchLabels | None:
    """Return what soft labels a batch has and will have; None where none were asked for and none are there."""
    k = soft_labels.ordered_k(batch)
    later = rescoring.progress(session, batch.id)
    stored, size = soft_labels.sampled(session, batch.id)
    unavailable = soft_labels.reasons(session, batch.id)
    if k is None and not (stored or unavailable or later["total"] or later["unfinished"]):
        return None
    missing = counts["stored"] - stored - later["stored"] - later["pending"] - sum(unavailable.values())
    if k is not None and missing > 0:
        unavailable["no_logprobs"] = missing
    return BatchLabels(
        state="in_progress" if later["unfinished"] else "ended" if later["total"] else "none",
        top_logprobs=k,
        stored=stored + later["stored"],
        bytes=size + later["bytes"],
        pending=later["pending"],
        unavailable=unavailable,
        waiting=batches.waiting(session, rescoring.subject(batch.id)) if later["pending"] else {},
        tokenizer_sha256=soft_labels.tokenizers(session, batch.teachers),
        estimate=_estimate(k, counts["total"], batch.sampling) if k else None,
    )


def _estimate(k: int, answers: int, sampling: Mapping[str, Any]) -> LabelsEstimate:
    longest = sampling.get("max_tokens")
    if not isinstance(longest, int):
        unknown = "how many tokens an answer may have: the batch sets no max_tokens"
        return LabelsEstimate(
            bytes_max=None, answers=answers, tokens_max=None, bytes_per_token=bytes_per_token(k), unknown=unknown
        )
    return estimate(k, answers, answers * longest)


def estimate(k: int, answers: int, tokens: int) -> LabelsEstimate:
    """Return what so many answers with so many tokens altogether take, at most."""
    size = bytes_max(k, answers=answers, tokens=tokens)
    return LabelsEstimate(bytes_max=size, answers=answers, tokens_max=tokens, bytes_per_token=bytes_per_token(k))


def of_trace(session: Session, trace_id: int, *, offset: int, limit: int) -> TraceLabels:
    """Return a page of a trace's soft labels: `limit` tokens, fewer where k is large. NotFound where there are none."""
    row = soft_labels.get(session, trace_id)
    labels = unpack(row.data)
    end = min(row.tokens, offset + min(limit, max(1, ENTRIES_MAX // row.k)))
    ids = [[token for token in line if token != NO_TOKEN] for line in labels.ids[offset:end].tolist()]
    lines = zip(ids, labels.logprobs[offset:end].tolist(), strict=True)
    values = row.model_dump(exclude={"data"}) | {"trace": trace_id, "bytes": len(row.data), "offset": offset}
    logprobs = [[round(each, 4) for each in line[: len(kept)]] for kept, line in lines]
    values |= {"ids": ids, "logprobs": logprobs, "next": end if end < row.tokens else None}
    return TraceLabels.model_validate(values)
