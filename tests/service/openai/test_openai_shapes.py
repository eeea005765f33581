"""Every object and error of this door fits the SDK's own types without any conversion."""

import pytest
from openai.types import Batch, FileObject, Model
from openai.types.chat import ChatCompletion, ChatCompletionStoreMessage
from openai.types.shared import ErrorObject

from tests.service.openai.conftest import line, post, store, submit


def test_every_list_holds_objects_of_the_sdk(sdk, fake, database, server):
    batch = submit(sdk, line("a"), line("b"), metadata={"team": "x"})
    store(database, batch.id, 0)
    sdk.batches.cancel(batch.id)
    asked = [{"role": "user", "content": "2 + 2 = ?"}]
    kept = sdk.chat.completions.create(model="tiny", messages=asked, store=True, metadata={"team": "x"})
    lists = {
        "models": Model,
        "files": FileObject,
        "batches": Batch,
        "chat/completions": ChatCompletion,
        f"chat/completions/{kept.id}/messages": ChatCompletionStoreMessage,
    }
    for path, kind in lists.items():
        body = post(server.url, f"/v1/{path}", method="GET").json()
        assert body["object"] == "list"
        assert body["data"], path
        for item in body["data"]:
            # The SDK's type for messages knows answers alone; the API, as OpenAI documents it, lists what was asked.
            said = item | {"role": "assistant"} if kind is ChatCompletionStoreMessage else item
            kind.model_validate(said, strict=True)
        if path != "models":
            assert (body["first_id"], body["last_id"]) == (body["data"][0]["id"], body["data"][-1]["id"])
            assert body["has_more"] is False


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", "models/no", {}),
        ("DELETE", "models/tiny", {}),
        ("GET", "files/file-no", {}),
        ("GET", "files/file-no/content", {}),
        ("DELETE", "files/file-no", {}),
        ("POST", "files", {"json": {}}),
        ("POST", "files", {"files": {"file": b"no json"}, "data": {"purpose": "batch"}}),
        ("GET", "files?limit=0", {}),
        ("GET", "files?after=file-no", {}),
        ("GET", "batches/batch_no", {}),
        ("POST", "batches/batch_no/cancel", {}),
        ("POST", "batches", {"json": {"input_file_id": "file-no"}}),
        ("GET", "batches?after=batch_no", {}),
        ("POST", "chat/completions", {"json": {"model": "no", "messages": [{"role": "user", "content": "a"}]}}),
        ("POST", "chat/completions", {"json": {"model": "tiny", "messages": []}}),
        ("GET", "chat/completions/chatcmpl-no", {}),
        ("POST", "chat/completions/chatcmpl-no", {"json": {"metadata": None}}),
        ("POST", "chat/completions/chatcmpl-no", {"json": {"title": "x"}}),
        ("DELETE", "chat/completions/chatcmpl-no", {}),
        ("GET", "chat/completions/chatcmpl-no/messages", {}),
        ("GET", "responses", {}),
    ],
)
def test_every_error_is_one_of_the_sdk(refusing, method, path, options):
    answer = post(refusing[0].base_url, path, method=method, **options)
    assert 400 <= answer.status_code < 500
    (error,) = answer.json().values()
    assert ErrorObject.model_validate(error, strict=True).message
