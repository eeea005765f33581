"""`/v1/chat/completions/…`: what was kept with `store: true`."""

from typing import Any

import pytest
from openai import BadRequestError, NotFoundError
from openai.types.chat import ChatCompletion, ChatCompletionDeleted

from tests.service.openai.conftest import post, strict

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "2 + 2"}, {"type": "text", "text": " = ?"}], "name": "ann"},
]


@pytest.fixture
def keep(sdk, fake) -> Any:
    """Return a function that asks, has the answer kept and gives its id."""

    def ask(model: str = "tiny", metadata: dict[str, str] | None = None, **options: Any) -> str:
        asked = {"model": model, "messages": MESSAGES, "store": True, "metadata": metadata} | options
        return sdk.chat.completions.create(**asked).id

    return ask


def test_a_kept_completion_is_what_was_answered(sdk, fake):
    said = sdk.chat.completions.create(model="tiny", messages=MESSAGES, store=True, metadata={"team": "a"}, n=2)
    kept = strict(ChatCompletion, sdk.chat.completions.with_raw_response.retrieve(said.id))
    assert (kept.id, kept.model, kept.metadata) == (said.id, "tiny", {"team": "a"})
    for kept_choice, choice in zip(kept.choices, said.choices, strict=True):
        assert kept_choice.message.content == choice.message.content.strip("\n")
        assert kept_choice.message.reasoning == choice.message.reasoning.strip("\n")


def test_what_was_not_asked_to_be_kept_is_not(sdk, fake):
    for store in (False, None):
        said = sdk.chat.completions.create(model="tiny", messages=MESSAGES, store=store)
        with pytest.raises(NotFoundError, match="store: true"):
            sdk.chat.completions.retrieve(said.id)


def test_they_are_listed_page_by_page(sdk, keep):
    ids = [keep() for _ in range(3)]
    assert [kept.id for kept in sdk.chat.completions.list(limit=2)] == ids
    assert sdk.chat.completions.list(limit=2).has_more
    assert [kept.id for kept in sdk.chat.completions.list(order="desc")] == ids[::-1]
    assert [kept.id for kept in sdk.chat.completions.list(after=ids[0])] == ids[1:]
    assert [kept.id for kept in sdk.chat.completions.list(after=ids[1], order="desc")] == ids[:1]


def test_they_are_found_by_model_and_metadata(sdk, keep):
    one, two = keep(metadata={"team": "a", "set": "x"}), keep(metadata={"team": "a", "set": "y"})
    other = keep("small", {"team": "b"})
    assert [kept.id for kept in sdk.chat.completions.list(model="small")] == [other]
    assert [kept.id for kept in sdk.chat.completions.list(model="unknown")] == []
    assert [kept.id for kept in sdk.chat.completions.list(metadata={"team": "a"})] == [one, two]
    assert [kept.id for kept in sdk.chat.completions.list(metadata={"team": "a", "set": "y"})] == [two]
    assert list(sdk.chat.completions.list(metadata={"team": "' OR 1=1 --"})) == []
    assert list(sdk.chat.completions.list(metadata={"te.am": "a"})) == []
    with pytest.raises(BadRequestError, match="quote"):
        sdk.chat.completions.list(metadata={'te"am': "a"})


def test_the_messages_that_were_asked_come_back(sdk, keep):
    completion_id = keep()
    first, second = sdk.chat.completions.messages.list(completion_id)
    assert (first.id, first.role, first.content, first.content_parts) == (
        *(f"{completion_id}-0", "system", "Be brief."),
        None,
    )
    assert (second.role, second.content, second.name) == ("user", "2 + 2 = ?", "ann")
    assert [part.text for part in second.content_parts] == ["2 + 2", " = ?"]
    assert [each.id for each in sdk.chat.completions.messages.list(completion_id, limit=1)] == [first.id, second.id]
    assert next(iter(sdk.chat.completions.messages.list(completion_id, order="desc"))).id == second.id
    with pytest.raises(BadRequestError):
        sdk.chat.completions.messages.list(completion_id, after="other")


def test_metadata_is_replaced(sdk, keep):
    completion_id = keep(metadata={"team": "a"})
    raw = sdk.chat.completions.with_raw_response.update(completion_id, metadata={"state": "seen"})
    assert strict(ChatCompletion, raw).metadata == {"state": "seen"}
    assert sdk.chat.completions.retrieve(completion_id).metadata == {"state": "seen"}
    assert sdk.chat.completions.update(completion_id, metadata=None).metadata is None
    with pytest.raises(BadRequestError):
        sdk.chat.completions.update(completion_id, metadata={"k": "v" * 513})


def test_a_deleted_one_is_out_of_sight_and_its_traces_stay_rejected(sdk, keep, server):
    gone, stays = keep(n=2), keep()
    raw = sdk.chat.completions.with_raw_response.delete(gone)
    assert strict(ChatCompletionDeleted, raw).deleted
    for ask in (sdk.chat.completions.retrieve, sdk.chat.completions.delete, sdk.chat.completions.messages.list):
        with pytest.raises(NotFoundError):
            ask(gone)
    assert [kept.id for kept in sdk.chat.completions.list()] == [stays]
    traces = post(server.url, "/api/traces", method="GET").json()["data"]
    assert [trace["key"] for trace in traces] == [gone, gone, stays]
    review = post(server.url, f"/api/traces/{traces[0]['id']}", method="GET").json()["reviews"][0]
    assert (review["outcome"], review["reason"]) == ("reject", "deleted")


def test_a_person_can_bring_a_deleted_one_back(sdk, keep, server):
    completion_id = keep()
    sdk.chat.completions.delete(completion_id)
    (trace,) = post(server.url, "/api/traces", method="GET").json()["data"]
    said = {"outcome": "keep", "author": "ann"}
    assert post(server.url, f"/api/traces/{trace['id']}", method="PATCH", json=said).status_code == 200
    assert sdk.chat.completions.retrieve(completion_id).id == completion_id


@pytest.mark.parametrize("completion_id", ["chatcmpl-no", "' OR 1=1", "a" * 3000])
def test_an_unknown_one_is_not_found(refusing, completion_id):
    with pytest.raises(NotFoundError):
        refusing[0].chat.completions.retrieve(completion_id)


def test_the_prompt_of_a_kept_one_carries_what_is_said_about_it(keep, server):
    about = {"reference": 4, "verifier": "math", "category": "add"}
    keep(metadata={"category": "overruled", "team": "a"}, extra_body={"retort": about})
    (trace,) = post(server.url, "/api/traces", method="GET").json()["data"]
    assert (trace["reference"], trace["category"], trace["batch"]) == ("4", "add", "batch_stored-tiny")
