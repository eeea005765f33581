"""`/v1/chat/completions/…`: the completions that were kept with `store: true`."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from service.access import CallerDep
from service.acts import Act
from service.api.deps import DatabaseDep, SettingsDep
from service.openai.bodies import completion
from service.openai.errors import Refused
from service.openai.shapes import (
    CompletionDeleted,
    CompletionObject,
    MetadataIn,
    Order,
    Page,
    PageSize,
    StoreMessage,
)
from service.store import audit, completions
from service.store.completions import STANDING, Stored, line_completion_id

router = APIRouter(prefix="/chat/completions", tags=["OpenAI: chat completions"])


@router.get("", response_model=Page[CompletionObject])
def list_completions(
    request: Request,
    database: DatabaseDep,
    settings: SettingsDep,
    model: str | None = None,
    after: str | None = None,
    limit: PageSize = 20,
    order: Annotated[Order, Query()] = "asc",
) -> Page[CompletionObject]:
    """List kept completions, of one teacher or with some metadata (`metadata[key]=value`) if asked."""
    limit = min(limit, settings.page_rows_max)
    wanted = {"model": model, "metadata": _metadata(request), "after": after, "descending": order == "desc"}
    with database.read() as session:
        found = completions.page(session, **wanted, limit=limit + 1)
        return Page.of([_shown(stored) for stored in found], limit)


@router.get("/{completion_id}", response_model=CompletionObject)
def retrieve(completion_id: str, database: DatabaseDep) -> CompletionObject:
    """Return a kept completion."""
    with database.read() as session:
        return _shown(completions.get(session, completion_id))


@router.get("/{completion_id}/messages", response_model=Page[StoreMessage])
def messages(
    completion_id: str,
    database: DatabaseDep,
    settings: SettingsDep,
    after: str | None = None,
    limit: PageSize = 20,
    order: Annotated[Order, Query()] = "asc",
) -> Page[StoreMessage]:
    """List the messages that were asked; the answer is the completion itself."""
    limit = min(limit, settings.page_rows_max)
    with database.read() as session:
        asked = completions.get(session, completion_id).prompt.messages
    found = [_message(message, f"{completion_id}-{index}") for index, message in enumerate(asked)]
    if order == "desc":
        found.reverse()
    ids = [message.id for message in found]
    if after is not None and after not in ids:
        raise Refused(f"the completion has no message '{after}'", param="after", code="invalid_value")
    start = ids.index(after) + 1 if after else 0
    return Page.of(found[start : start + limit + 1], limit)


@router.post("/{completion_id}", response_model=CompletionObject)
def update(completion_id: str, body: MetadataIn, database: DatabaseDep) -> CompletionObject:
    """Put other metadata in the place of what a kept completion has; nothing else of it can change."""
    with database.write() as session:
        return _shown(completions.set_metadata(session, completion_id, body.metadata))


@router.delete("/{completion_id}", response_model=CompletionDeleted)
def delete(completion_id: str, database: DatabaseDep, caller: CallerDep) -> CompletionDeleted:
    """Take a kept completion out of sight and out of future datasets; its traces stay, rejected as `deleted`."""
    with database.write() as session:
        completions.delete(session, completion_id)
        audit.record(session, caller, Act.COMPLETION_DELETED, completion_id)
    return CompletionDeleted(id=completion_id)


def _metadata(request: Request) -> dict[str, str]:
    found = {
        name.removeprefix("metadata[").removesuffix("]"): value
        for name, value in request.query_params.items()
        if name.startswith("metadata[") and name.endswith("]")
    }
    for name in found:
        if '"' in name or "\\" in name:
            raise Refused("a key with a quote or a backslash cannot be searched for", param="metadata")
    return found


def _shown(stored: Stored) -> CompletionObject:
    prompt = stored.prompt
    batch_line = not prompt.batch_id.startswith(STANDING)
    name = line_completion_id(prompt.id or 0) if batch_line else prompt.key
    return completion(name, prompt.teacher or "", stored.traces, prompt.meta, stored.labels)


def _message(message: dict[str, Any], message_id: str) -> StoreMessage:
    content = message.get("content")
    parts = content if isinstance(content, list) else None
    text = content if isinstance(content, str) else None
    if parts is not None:
        text = "".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))
    return StoreMessage.model_validate(message | {"id": message_id, "content": text, "content_parts": parts})
