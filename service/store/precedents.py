"""Verdicts of earlier versions that may still stand: who judged the same traces, and what its ledger says of each."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import func, select
from sqlmodel import Session, col

from filters.manifest import FilterCount
from filters.recipe import Recipe
from filters.reuse import Reuse
from filters.sample import Sample
from filters.stages import Abstention, Judged, Note
from filters.verdict import Outcome, Verdict
from service.models import DatasetVersion, Trace, VerdictRow, VersionState
from service.store import batches
from service.store.curation import COLUMNS, PERSON, Key, Span, of_version, ordered

ALIKE_MAX = 50
"""Versions looked at for verdicts that still stand."""
_VERDICT = (
    "outcome",
    "filter_index",
    "filter",
    "filter_version",
    "reason",
    "detail",
    "evidence",
    "abstentions",
    "notes",
)


def inputs_sha256(session: Session, batch_ids: Sequence[str]) -> str:
    """Return what changes whenever a batch gets another trace or somebody says something of one."""
    marks = []
    for batch_id in batch_ids:
        newest = session.scalar(select(func.max(Trace.id)).where(col(Trace.batch_id) == batch_id))
        marks.append([batch_id, newest, batches.newest_review(session, batch_id)])
    return hashlib.sha256(orjson.dumps(marks)).hexdigest()


def reusable(
    session: Session, recipe: Recipe, inputs: str, *, same_stream: bool
) -> tuple[DatasetVersion, Reuse] | tuple[None, None]:
    """Return the sealed version of the same traces and reviews whose verdicts spare the recipe the most filters."""
    query = (
        select(DatasetVersion)
        .where(DatasetVersion.inputs_sha256 == inputs, DatasetVersion.state == VersionState.SEALED)  # pyright: ignore[reportArgumentType]
        .order_by(col(DatasetVersion.id).desc())
        .limit(ALIKE_MAX)
    )
    best: tuple[DatasetVersion, Reuse] | None = None
    for version in session.scalars(query):
        if version.recipe.get("on_abstain") != recipe.on_abstain:
            continue
        funnel = [line for line in map(FilterCount.model_validate, version.funnel) if line.kind != PERSON]
        reuse = Reuse(recipe, funnel, same_stream=same_stream)
        if len(reuse) > (len(best[1]) if best else 0):
            best = version, reuse
    return best or (None, None)


def judged_page(session: Session, version_id: int, span: Span, *, after: Key | None, limit: int) -> list[Judged]:
    """Return the same samples as a version's ledger has them."""
    columns = (*COLUMNS, *(getattr(VerdictRow, name) for name in _VERDICT))
    query = of_version(ordered(select(*columns), span, after, limit), version_id)
    width = len(COLUMNS)
    rows = session.connection().execute(query).all()
    return [_judged(Sample(*row[:width]), dict(zip(_VERDICT, row[width:], strict=True))) for row in rows]


def _judged(sample: Sample, row: dict[str, Any]) -> Judged:
    """Read a row of the ledger as the judgement that it was written from."""
    said = [(Abstention, Outcome.ABSTAIN, each) for each in row["abstentions"] or ()]
    said += [(Note, Outcome.KEEP, each) for each in row["notes"] or ()]
    made = [
        kind(each["filter_index"], each["filter"], Verdict(meant, each["reason"], each["detail"], each.get("evidence")))
        for kind, meant, each in said
    ]
    abstentions = tuple(each for each in made if isinstance(each, Abstention))
    judged = Judged(sample, abstentions=abstentions, notes=tuple(each for each in made if isinstance(each, Note)))
    if row["filter_index"] is None:
        return judged
    verdict = Verdict(Outcome.REJECT, row["reason"], row["detail"], row["evidence"])
    if abstentions and abstentions[-1].index == row["filter_index"]:
        verdict = replace(verdict, outcome=Outcome.ABSTAIN)
    return replace(
        judged,
        outcome=Outcome.REJECT,
        index=row["filter_index"],
        kind=row["filter"],
        version=row["filter_version"],
        verdict=verdict,
    )
