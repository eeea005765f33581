"""Rewriters: the traces of a batch or a version once more, compacted or without their reasoning, in a new batch."""

import hashlib
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Response

from service.api.deps import DatabaseDep, SettingsDep
from service.api.shapes.batches import SubmitOut
from service.api.shapes.rewrites import RewriteIn
from service.settings import Settings
from service.store import batches, datasets, rewrites
from service.store.database import Database
from service.views import batch_out

router = APIRouter(prefix="/api", tags=["rewrites"])
IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", max_length=255)]


@router.post("/batches/{batch_id}/rewrites", response_model=SubmitOut, status_code=202)
def of_batch(
    batch_id: str,
    body: RewriteIn,
    database: DatabaseDep,
    settings: SettingsDep,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> SubmitOut:
    """Rewrite the traces of an ended batch into a new batch, each with its old trace as `parent_id`.

    `compact` has a teacher write the reasoning anew and shorter; the response stays. `answer_only` leaves the reasoning
    out. Nothing is judged again here: curate the new batch, with `verified` and `consistency` in the recipe. The same
    `Idempotency-Key` gives the batch that it made before (200).
    """
    shown = _begin(database, settings, body, batch_id, idempotency_key, batch_id=batch_id)
    response.status_code = 202 if shown.new else 200
    return shown


@router.post("/datasets/{name}/versions/{number}/rewrites", response_model=SubmitOut, status_code=202)
def of_version(
    name: str,
    number: int,
    body: RewriteIn,
    database: DatabaseDep,
    settings: SettingsDep,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> SubmitOut:
    """Rewrite the traces that a sealed version keeps, and no others, into a new batch; as of a batch otherwise."""
    with database.read() as session:
        version = datasets.version(session, name, number)
    shown = _begin(database, settings, body, f"{name}@{number}", idempotency_key, version=version)
    response.status_code = 202 if shown.new else 200
    return shown


def _begin(
    database: Database, settings: Settings, body: RewriteIn, named: str, key: str | None, **source: Any
) -> SubmitOut:
    said = orjson.dumps([named, body.model_dump()], option=orjson.OPT_SORT_KEYS)
    with database.write() as session:
        batch, new = rewrites.order(
            session,
            body.kind,
            **source,
            teacher=body.teacher,
            options=body.model_dump(include={"instruction", "share_max"}) if body.teacher else {},
            sampling=body.sampling,
            idempotency_key=key,
            digest=hashlib.sha256(said).hexdigest(),
            shard_prompts=settings.shard_prompts,
        )
        batch_id = batch.id
    with database.read() as session:
        return SubmitOut(**batch_out(session, batches.get(session, batch_id)).model_dump(), new=new)
