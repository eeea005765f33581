"""`POST /v1/chat/completions` through the SDK, and what it keeps."""

import asyncio
import os
from typing import Any

import httpx
import orjson
import pytest
from openai import (
    APIError,
    AsyncOpenAI,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
)
from openai.types.chat import ChatCompletion

from service.app import create_app
from tests.service.openai.conftest import Served, chunk, post, register, strict, wait_for

ASKED: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "2 + 2 = ?"}]}
STREAMED: dict[str, Any] = {**ASKED, "model": "stream", "stream": True}
DONE = b"data: [DONE]\n\n"


def traces(server) -> list[dict[str, Any]]:
    """All traces, as the native door shows them."""
    return post(server.url, "/api/traces?limit=50", method="GET").json()["data"]


def test_an_answer_passes_through(sdk, fake, server):
    completion = strict(ChatCompletion, sdk.chat.completions.with_raw_response.create(**ASKED))
    assert completion.choices[0].message.content
    assert completion.choices[0].message.reasoning
    assert completion.model == "fake"
    assert completion.id.startswith("chatcmpl-")
    assert traces(server) == []


def test_nothing_but_the_id_changes(server, streamer):
    streamer.pieces = [b'{ "id":"theirs","choices":[{"x":1.50,"id":"theirs","y":"\\u00e9\xc3\xa9"}], "usage":null }\n']
    answer = post(server.url, "/v1/chat/completions", json=ASKED | {"model": "stream"})
    ours = answer.json()["id"]
    assert ours != "theirs"
    assert answer.content == streamer.pieces[0].replace(b"theirs", ours.encode(), 1)


def test_what_retort_reads_itself_never_reaches_the_teacher(sdk, streamer):
    streamer.pieces = [b'{"id":"a","choices":[{"index":0,"message":{"content":"4"},"finish_reason":"stop"}]}']
    given = {"temperature": 0.5, "seed": 7, "extra_body": {"top_k": 3, "retort": {"reference": "4"}}}
    sdk.chat.completions.create(**ASKED | {"model": "stream"}, store=True, metadata={"reference": "4"}, **given)
    (request,) = streamer.requests
    assert request == {"model": "served-name", "messages": ASKED["messages"], "temperature": 0.5, "seed": 7, "top_k": 3}


def test_an_unknown_model_names_the_nearest(sdk, fake):
    with pytest.raises(NotFoundError, match="did you mean 'tiny'") as missing:
        sdk.chat.completions.create(**ASKED | {"model": "tinny"})
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        (b"{", None, "not valid JSON"),
        (b"[]", None, "no JSON object"),
        (b'{"model": "tiny"}', "messages", "required"),
        (b'{"messages": [{}]}', "model", "required"),
        (b'{"model": "tiny", "messages": []}', "messages", "at least 1"),
        (b'{"model": "tiny", "messages": [1]}', "messages.0", "dictionary"),
        (b'{"model": "tiny", "messages": [{}], "stream": "yes"}', "stream", "boolean"),
        (b'{"model": "tiny", "messages": [{}], "metadata": {"a": "b"}}', "metadata", "set 'store' to true"),
        (b'{"model": "tiny", "messages": [{}], "retort": {"reference": "b"}}', "retort", "set 'store' to true"),
        (b'{"model": "tiny", "messages": [{}], "store": true, "metadata": {"verifier": "x"}}', "verifier", "known: "),
        (b'{"model": "tiny", "messages": [{"a": "\\u0000"}], "store": true}', None, "NUL"),
        (b'{"model": "tiny", "messages": [{"a": "\\ud800"}]}', None, "not valid JSON"),
        (b'{"model": "tiny", "messages": [{"a": NaN}]}', None, "not valid JSON"),
        (b"[" * 10_000, None, "not valid JSON"),
    ],
)
def test_a_request_that_cannot_be_read_is_refused(refusing, body, param, said):
    answer = post(refusing[0].base_url, "chat/completions", content=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert said in error["message"]


def test_a_request_that_is_too_large_is_refused(refusing):
    answer = post(refusing[0].base_url, "chat/completions", content=b" " * (20 * 2**20 + 1))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("prompt_too_long", 400, "context_length_exceeded"),
        ("rate_limited", 429, "rate_limit_exceeded"),
        ("unauthorized", 502, "unauthorized"),
        ("unknown_model", 502, "unknown_model"),
        ("server_error", 502, "server_error"),
        ("overloaded", 503, "overloaded"),
        ("dropped", 502, "connection_lost"),
        ("truncated_body", 502, "truncated_body"),
        ("dropped_in_body", 502, "truncated_body"),
        ("invalid_json", 502, "invalid_json"),
        ("wrong_shape", 502, "wrong_shape"),
    ],
)
def test_a_teachers_fault_is_told_in_openais_words(sdk, fake, fault, status, code):
    fake.play(faults=[{"kind": fault, "retry_after_s": 7}])
    kinds = {400: BadRequestError, 429: RateLimitError}
    with pytest.raises(kinds.get(status, InternalServerError)) as told:
        sdk.chat.completions.create(**ASKED)
    assert (told.value.status_code, told.value.code) == (status, code)
    assert "teacher 'tiny'" in told.value.message
    if fault == "rate_limited":
        assert told.value.response.headers["Retry-After"] == "7"


def test_a_teacher_that_is_not_there_is_told(sdk, teacher):
    with pytest.raises(InternalServerError) as told:
        sdk.chat.completions.create(**ASKED)
    assert (told.value.status_code, told.value.code) == (503, "connection_refused")


def test_a_teacher_that_is_too_slow_is_told(fake, settings):
    settings.request_timeout_s = 0.3
    other = Served(create_app(settings))
    fake.play(faults=[{"kind": "hang"}])
    answer = post(other.url, "/v1/chat/completions", json=ASKED)
    other.stop()
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")


def test_only_allowed_networks_are_asked(sdk, database):
    for name, url in (("inside", "http://10.1.2.3/v1"), ("cloud", "http://169.254.169.254/v1")):
        register(database, name, url)
        with pytest.raises(InternalServerError, match="RETORT_TEACHER_NETWORKS") as told:
            sdk.chat.completions.create(**ASKED | {"model": name})
        assert told.value.code == "address_not_allowed"
    register(database, "nowhere", "http://teacher.invalid/v1")
    with pytest.raises(InternalServerError) as told:
        sdk.chat.completions.create(**ASKED | {"model": "nowhere"})
    assert (told.value.status_code, told.value.code) == (503, "unknown_host")


def test_a_teacher_may_be_known_by_name(sdk, fake, database):
    register(database, "named", fake.base_url.replace("127.0.0.1", "localhost"))
    assert sdk.chat.completions.create(**ASKED | {"model": "named"}).choices


def test_a_teachers_key_goes_to_the_teacher_and_nowhere_else(sdk, fake, database, monkeypatch):
    fake.play(api_key="s3cret")
    register(database, "tiny", fake.base_url, api_key_env="TINY_KEY")
    with pytest.raises(InternalServerError, match="TINY_KEY") as told:
        sdk.chat.completions.create(**ASKED)
    assert (told.value.status_code, told.value.code) == (503, "no_key")
    monkeypatch.setitem(os.environ, "TINY_KEY", "s3cret")
    assert sdk.chat.completions.create(**ASKED).choices
    monkeypatch.setitem(os.environ, "TINY_KEY", "other")
    with pytest.raises(InternalServerError) as told:
        sdk.chat.completions.create(**ASKED)
    assert told.value.code == "unauthorized"
    assert "other" not in str(told.value.body)


def test_a_stream_passes_through_as_it_is(server, streamer):
    said = [
        b": a comment\n\n",
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning": "two\u2028and two"}),
        chunk({"content": "4"}, service_tier=1.50),
        chunk(finish_reason="stop"),
    ]
    streamer.pieces = [*said, DONE]
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=STREAMED, trust_env=False) as answer:
        content = answer.read()
    assert answer.headers["content-type"].startswith("text/event-stream")
    ours = orjson.loads(content.splitlines()[2].removeprefix(b"data: "))["id"]
    assert ours.startswith("chatcmpl-")
    assert ours != "chatcmpl-theirs"
    assert content == b"".join(said).replace(b"chatcmpl-theirs", ours.encode()) + DONE


def test_pieces_come_as_they_are_said(sdk, streamer):
    streamer.pieces, streamer.pause_s = [chunk({"content": str(number)}) for number in range(5)] + [DONE], 0.1
    stream = sdk.chat.completions.create(**STREAMED)
    first = next(stream)
    assert not streamer.finished.is_set()
    assert "".join(each.choices[0].delta.content for each in [first, *stream]) == "01234"


def test_who_leaves_a_stream_stops_the_teacher(sdk, streamer):
    streamer.pieces, streamer.pause_s = [chunk({"content": "a"})] * 600, 0.05
    stream = sdk.chat.completions.create(**STREAMED)
    next(stream)
    stream.close()
    assert wait_for(streamer.left.is_set)


def test_who_leaves_before_the_answer_stops_the_teacher(server, streamer):
    streamer.pieces, streamer.pause_s = [b"{}"] * 600, 0.1
    with pytest.raises(httpx.ReadTimeout):
        post(server.url, "/v1/chat/completions", json=ASKED | {"model": "stream"}, timeout=2)
    assert wait_for(streamer.left.is_set)


def test_a_stream_that_breaks_off_ends_with_an_error(sdk, streamer):
    streamer.pieces = [chunk({"content": "a"})]
    stream = sdk.chat.completions.create(**STREAMED, store=True)
    assert next(stream).choices[0].delta.content == "a"
    with pytest.raises(APIError) as told:
        next(stream)
    assert told.value.code == "truncated_body"
    assert list(sdk.chat.completions.list()) == []


def test_a_streamed_answer_is_kept_whole(sdk, server, streamer):
    calls = [
        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a"'}},
        {"index": 0, "function": {"arguments": ": 2}"}},
    ]
    streamer.pieces = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning": "two and "}),
        chunk({"reasoning": "two"}),
        chunk({"content": "It is "}, logprobs=None),
        chunk({"content": "4"}),
        *(chunk({"tool_calls": [call]}) for call in calls),
        chunk(finish_reason="tool_calls"),
        chunk(choices=[], usage={"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}),
        DONE,
    ]
    stream = list(sdk.chat.completions.create(**STREAMED, store=True, metadata={"team": "a", "reference": "4"}))
    assert streamer.requests[0]["stream_options"] == {"include_usage": True}
    assert all(each.choices for each in stream), "the count of tokens that only Retort wanted is not passed on"
    kept = strict(ChatCompletion, sdk.chat.completions.with_raw_response.retrieve(stream[0].id))
    choice = kept.choices[0]
    assert (choice.message.content, choice.message.reasoning) == ("It is 4", "two and two")
    assert (choice.finish_reason, kept.usage.total_tokens) == ("tool_calls", 12)
    assert choice.message.tool_calls[0].function.arguments == '{"a": 2}'
    (trace,) = traces(server)
    assert (trace["response"], trace["reasoning"], trace["reference"]) == ("It is 4", "two and two", "4")
    assert (trace["prompt_tokens"], trace["completion_tokens"], trace["key"]) == (5, 7, stream[0].id)


def test_a_count_of_tokens_that_was_asked_for_is_passed_on(sdk, streamer):
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    streamer.pieces = [chunk({"content": "4"}), chunk(choices=[], usage=usage), DONE]
    wanted = {"stream_options": {"include_usage": True}}
    assert [each.usage for each in sdk.chat.completions.create(**STREAMED, store=True, **wanted)][-1].total_tokens == 12


def test_several_choices_of_a_stream_are_told_apart(sdk, server, streamer):
    def said(index: int, text: str, **more: Any) -> bytes:
        return chunk(choices=[{"index": index, "delta": {"content": text}, "finish_reason": None} | more])

    streamer.pieces = [said(1, "fi"), said(0, "fo"), said(1, "ve"), said(0, "ur", finish_reason="stop"), DONE]
    stream = list(sdk.chat.completions.create(**STREAMED, store=True, n=2))
    kept = sdk.chat.completions.retrieve(stream[0].id)
    assert [choice.message.content for choice in kept.choices] == ["four", "five"]
    assert [trace["sample_index"] for trace in traces(server)] == [0, 1]


def test_an_answer_without_any_text_is_not_kept_silently(sdk, fake):
    fake.play(faults=[{"kind": "empty_content"}])
    assert sdk.chat.completions.create(**ASKED).choices[0].message.content == ""
    with pytest.raises(InternalServerError) as told:
        sdk.chat.completions.create(**ASKED, store=True)
    assert told.value.code == "empty_response"


def test_many_at_once_over_the_async_client(server, fake):
    async def ask() -> list[str]:
        async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as client:
            answers = await asyncio.gather(*(client.chat.completions.create(**ASKED, store=True) for _ in range(20)))
            kept = [each.id async for each in client.chat.completions.list(limit=7)]
        assert sorted(kept) == sorted(answer.id for answer in answers)
        return kept

    assert len(set(asyncio.run(ask()))) == 20
    (batch,) = post(server.url, "/api/batches", method="GET").json()["data"]
    assert (batch["id"], batch["state"], batch["prompts"]) == ("batch_stored-tiny", "completed", 20)
    assert batch["counts"] == {"total": 20, "stored": 20, "failed": 0, "cancelled": 0, "pending": 0}
    assert batch["completion_tokens"] > 0
