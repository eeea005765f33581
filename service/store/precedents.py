"""Verdicts of earlier versions that may still stand: who judged the same traces, and what its ledger says of each."""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import orjson
from sqlalchemy import Text, cast, func, literal, or_, select
from sqlmodel import Session, col

from filters.manifest import FilterCount
from filters.recipe import Recipe
from filters.reuse import Reuse
from filters.sample import Sample
from filters.stages import Abstention, Judged, Note
from filters.verdict import Outcome, Verdict
from service.models import Batch, DatasetVersion, Teacher, Trace, VerdictRow, VersionState
from service.store import batches
from service.store.curation import PERSON, TEXTS, TRACE, Stretch, ordered, samples
from service.store.ledger import of_version

ALIKE_MAX = 50
"""Versions looked at for verdicts that still stand."""
ROWS_AT_ONCE = 10_000
# Mostly null: cheaper to look at as text than to decode for each row.
_ASIDE: tuple[Any, ...] = tuple(cast(column, Text) for column in (VerdictRow.abstentions, VerdictRow.notes))
_VERDICT: tuple[Any, ...] = (
    VerdictRow.filter_index,
    VerdictRow.filter,
    VerdictRow.filter_version,
    VerdictRow.reason,
    VerdictRow.detail,
    cast(VerdictRow.evidence, Text),  # pyright: ignore[reportArgumentType]
    *_ASIDE,
)
Said = TypeVar("Said", Abstention, Note)


def inputs_sha256(session: Session, batch_ids: Sequence[str]) -> str:
    """Return what changes whenever a batch gets another trace, somebody says something of one, or a licence changes."""
    of_batches = session.scalars(select(Batch).where(col(Batch.id).in_(batch_ids)))
    names = {name for batch in of_batches for name in batch.teachers}
    teachers = session.scalars(select(Teacher).where(col(Teacher.name).in_(names)).order_by(col(Teacher.name)))
    marks: list[Any] = [[[teacher.name, teacher.license] for teacher in teachers]]
    for batch_id in batch_ids:
        newest = session.scalar(select(func.max(Trace.id)).where(col(Trace.batch_id) == batch_id))
        marks.append([batch_id, newest, batches.newest_review(session, batch_id)])
    return hashlib.sha256(orjson.dumps(marks)).hexdigest()


def reusable(
    session: Session, recipe: Recipe, inputs: str, *, same_stream: bool
) -> tuple[DatasetVersion, Reuse] | tuple[None, None]:
    """Return the sealed version of the same traces and reviews whose verdicts spare the recipe the most filters."""
    best: tuple[DatasetVersion, Reuse] | None = None
    for version in _alike(session, inputs):
        if version.recipe.get("on_abstain") != recipe.on_abstain:
            continue
        funnel = [line for line in map(FilterCount.model_validate, version.funnel) if line.kind != PERSON]
        reuse = Reuse(recipe, funnel, same_stream=same_stream)
        if len(reuse) > (len(best[1]) if best else 0):
            best = version, reuse
    return best or (None, None)


def splits(session: Session, inputs: str, split: dict[str, Any]) -> tuple[dict[int, str], dict[str, Any]] | None:
    """Return the split of each prompt, and its `near_prompts`, of a sealed version of the same traces split so."""
    found = next((each for each in _alike(session, inputs) if each.split == split and each.near_prompts), None)
    if found is None:
        return None
    query = (
        select(Trace.prompt_id, VerdictRow.split)  # pyright: ignore[reportCallIssue, reportArgumentType]
        .join(Trace, col(Trace.id) == col(VerdictRow.trace_id))
        .where(col(VerdictRow.version_id) == found.id)
    )
    rows: Any = session.connection().execution_options(yield_per=ROWS_AT_ONCE).execute(query)
    return {prompt_id: sys.intern(name) for prompt_id, name in rows}, found.near_prompts or {}


def _alike(session: Session, inputs: str) -> Iterator[DatasetVersion]:
    """Yield the newest sealed versions of the same traces and reviews."""
    query = (
        select(DatasetVersion)
        .where(DatasetVersion.inputs_sha256 == inputs, DatasetVersion.state == VersionState.SEALED)  # pyright: ignore[reportArgumentType]
        .order_by(col(DatasetVersion.id).desc())
        .limit(ALIKE_MAX)
    )
    yield from session.scalars(query)


def judged_page(session: Session, version_id: int, stretch: Stretch, *, reached: int = 0) -> list[Judged]:
    """Return the samples of a stretch as a version's ledger has them.

    Those that a filter before the place `reached` rejected are passed over.
    """
    rows = _rows(session, (*TRACE, *_VERDICT), version_id, stretch, reached)
    said = (row[len(TRACE) :] for row in rows)
    return [_judged(sample, *row) for sample, row in zip(samples(session, stretch.span, rows), said, strict=True)]


def survivors(session: Session, version_id: int, stretch: Stretch, *, reached: int, texts: bool) -> list[Judged]:
    """Return the samples of a stretch as they came before the filter with the place `reached`.

    Without `texts` they come without response and reasoning.
    """
    trace = [column if texts or column not in TEXTS else literal("").label(column.key) for column in TRACE]
    rows = _rows(session, (*trace, *_ASIDE), version_id, stretch, reached)
    return [
        Judged(sample)
        if row[-2] == row[-1] == "null"
        else Judged(
            sample,
            abstentions=tuple(each for each in _said(Abstention, Outcome.ABSTAIN, row[-2]) if each.index < reached),
            notes=tuple(each for each in _said(Note, Outcome.KEEP, row[-1]) if each.index < reached),
        )
        for sample, row in zip(samples(session, stretch.span, rows), rows, strict=True)
    ]


def _rows(session: Session, columns: Sequence[Any], version_id: int, stretch: Stretch, reached: int) -> Sequence[Any]:
    query = of_version(ordered(select(*columns), stretch), version_id)
    if reached:
        place = col(VerdictRow.filter_index)
        query = query.where(or_(place.is_(None), place >= reached))
    return session.connection().execute(query).all()


def _judged(
    sample: Sample,
    index: int | None,
    kind: str,
    version: int | None,
    reason: str,
    detail: str,
    evidence: str | None,
    abstained: str | None,
    noted: str | None,
) -> Judged:
    """Read a row of the ledger as the judgement that it was written from."""
    abstentions = tuple(_said(Abstention, Outcome.ABSTAIN, abstained))
    notes = tuple(_said(Note, Outcome.KEEP, noted))
    if index is None:
        return Judged(sample, abstentions=abstentions, notes=notes)
    outcome = Outcome.ABSTAIN if abstentions and abstentions[-1].index == index else Outcome.REJECT
    verdict = Verdict(outcome, reason, detail, orjson.loads(evidence or "null"))
    return Judged(sample, Outcome.REJECT, index, kind, version or 0, verdict, abstentions, notes)


def _said(kind: type[Said], meant: Outcome, text: str | None) -> Iterator[Said]:
    """Read what filters said aside of the sample's fate; mostly nothing."""
    for each in orjson.loads(text) or () if text and text != "null" else ():
        verdict = Verdict(meant, each["reason"], each["detail"], each.get("evidence"))
        yield kind(each["filter_index"], each["filter"], verdict)
