"""Questions that teachers wrote to passages, as prompt lines for the next batch."""

import hashlib
from collections.abc import Iterator
from typing import Any, Literal

import orjson
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from service.api.deps import DatabaseDep
from service.questions import Unusable, line, read, same
from service.store import batches, questions
from service.store.database import Database

router = APIRouter(prefix="/api/batches", tags=["batches"])

REPLIES_AT_ONCE = 500
Outcome = Literal["keep", "reject", "all"]


@router.get("/{batch_id}/questions", response_class=StreamingResponse)
def list_questions(batch_id: str, database: DatabaseDep, outcome: Outcome = "keep") -> StreamingResponse:
    """Stream the questions of a batch that `retort questions write` made, as JSON lines that can be submitted.

    Of equal questions the first is kept. With `reject` the lines are the replies that are none, each with its
    `trace`, `reason` and `detail`; with `all` both, in the order of the traces.
    """
    with database.read() as session:
        batches.get(session, batch_id)
    return StreamingResponse(_lines(database, batch_id, outcome), media_type="application/x-ndjson")


def _lines(database: Database, batch_id: str, outcome: Outcome) -> Iterator[bytes]:
    after, seen = 0, set[bytes]()
    while True:
        with database.read() as session:
            found = questions.replies(session, batch_id, after=after, limit=REPLIES_AT_ONCE)
        if not found:
            return
        after = found[-1]["trace"]
        judged = (_judged(asked, seen) for asked in found)
        wanted = [row for row in judged if outcome == "all" or ("reason" in row) == (outcome == "reject")]
        yield b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in wanted)


def _judged(asked: dict[str, Any], seen: set[bytes]) -> dict[str, Any]:
    """Return the prompt line of a reply, or why there is none. `seen` are the questions before it."""
    meta = asked["meta"] or {}
    if "passage" not in meta:
        said = Unusable("no_passage", "its prompt did not ask for a question")
    else:
        said = read(asked["response"], asked["finish_reason"], answers=bool(meta.get("answers")))
    if not isinstance(said, Unusable):
        digest = hashlib.sha256(same(said.question).encode()).digest()[:12]
        if digest not in seen:
            seen.add(digest)
            return line(said, asked)
        said = Unusable("duplicate", said.question[:200])
    return {"trace": asked["trace"], "reason": said.reason, "detail": said.detail}
