"""Traces that were made elsewhere, over REST: what is stored of each form, and how a mistake in it is named."""

from pathlib import Path
from typing import Any, get_args

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service import submission
from service.api.shapes.imports import SourceName
from service.imports import SOURCES
from service.store import imports

PARQUET = "application/vnd.apache.parquet"
USAGE = {"prompt_tokens": 7, "completion_tokens": 20, "completion_tokens_details": {"reasoning_tokens": 9}}


def choice(content: str | None, **message: Any) -> dict[str, Any]:
    return {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": "stop"}


@pytest.fixture
def take(client):
    """Return a function that imports rows (dicts, or bytes as they are) and gives the response."""

    def post(rows: Any, *, key: str | None = None, kind: str | None = None, **query: Any) -> Any:
        body = rows if isinstance(rows, bytes) else b"\n".join(map(orjson.dumps, rows))
        headers = {"Idempotency-Key": key} if key else {}
        headers |= {"Content-Type": kind} if kind else {}
        asked = {"format": "huggingface", "teacher": "r1", "license": "mit"} | query
        return client.post("/api/imports", params=asked, content=body, headers=headers)

    return post


@pytest.fixture
def stored(client):
    """Return a function that gives the traces of an import's answer, each as `GET /api/traces/ID` does."""

    def traces(answer: Any) -> list[dict[str, Any]]:
        assert answer.status_code == 201, answer.text
        listed = client.get("/api/traces", params={"batch": answer.json()["id"]}).json()["data"]
        return [client.get(f"/api/traces/{each['id']}").json() for each in listed]

    return traces


def first_error(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 422, answer.text
    assert "nothing of the batch was stored" in answer.json()["detail"]
    return answer.json()["errors"][0]


def test_the_door_knows_every_source(client):
    assert get_args(SourceName) == tuple(SOURCES)
    assert [each["format"] for each in client.get("/api/imports/formats").json()["data"]] == list(SOURCES)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "2 + 2?", "response": "4", "reasoning": "two and two"},
        {"prompt": "2 + 2?", "response": "<think>\ntwo and two\n</think>\n\n4"},
        {"prompt": [{"role": "user", "content": "2 + 2?"}], "completion": [{"role": "assistant", "content": "4"}]}
        | {"reasoning": "two and two"},
        {"messages": [{"role": "user", "content": "2 + 2?"}]}
        | {"completion": [{"role": "assistant", "content": "4", "reasoning_content": "two and two"}]},
        {"messages": [{"role": "user", "content": "2 + 2?"}]}
        | {"completion": [{"role": "assistant", "content": "4", "thinking": "two and two"}]},
        {"conversations": [{"from": "human", "value": "2 + 2?"}]}
        | {"completion": "<think>two and two</think>4", "prompt_id": 5, "id": 9},
    ],
)
def test_reasoning_is_told_from_the_response_whichever_way_it_came(take, stored, row):
    (trace,) = stored(take([row]))
    assert trace["messages"] == [{"role": "user", "content": "2 + 2?"}]
    assert (trace["reasoning"], trace["response"]) == ("two and two", "4")


def test_the_last_message_is_the_answer_and_earlier_ones_stay_in_the_prompt(take, stored):
    talk = [("system", "Be brief."), ("user", "One?"), ("assistant", "Yes."), ("user", "Two?"), ("assistant", "No.")]
    (trace,) = stored(take([{"messages": [{"role": role, "content": said} for role, said in talk]}]))
    assert (len(trace["messages"]), trace["response"]) == (4, "No.")


def test_an_import_is_a_completed_batch_with_its_origin_on_every_trace(take, stored, client):
    rows = [{"prompt": "a", "response": "b", "prompt_tokens": 3, "completion_tokens": 5, "category": "x"}] * 2
    answer = take(rows, file="made.jsonl", prompts_license="cc-by-4.0", model="deepseek-ai/DeepSeek-R1")
    batch = answer.json()
    assert (batch["state"], batch["prompts"], batch["counts"]["stored"], batch["counts"]["pending"]) == (
        "completed",
        2,
        2,
        0,
    )
    assert (batch["prompt_tokens"], batch["completion_tokens"]) == (6, 10)
    assert batch["imported"]["format"] == "huggingface"
    second = stored(answer)[1]
    assert second["raw"]["imported"] == {"format": "huggingface", "file": "made.jsonl", "row": 2}
    assert (second["teacher"], second["category"], second["latency_ms"]) == ("r1", "x", None)
    registered = client.get("/api/teachers/r1").json()
    assert (registered["license"], registered["base_url"], registered["model"]) == (
        "mit",
        "",
        "deepseek-ai/DeepSeek-R1",
    )


def test_nobody_asks_a_teacher_that_has_no_server(take, client):
    batch = take([{"prompt": "a", "response": "b"}]).json()["id"]
    asked = client.post("/api/batches", params={"teacher": "r1"}, content=b'{"prompt": "c"}')
    assert (asked.status_code, "has no server" in asked.json()["detail"]) == (409, True)
    assert client.post(f"/api/batches/{batch}/retry").status_code == 409
    assert client.post("/api/teachers/r1/probe").json()["ok"] is False
    chat = {"model": "r1", "messages": [{"role": "user", "content": "c"}]}
    answer = client.post("/v1/chat/completions", json=chat)
    assert (answer.status_code, "has no server" in answer.json()["error"]["message"]) == (409, True)
    assert client.get("/v1/models").json()["data"] == []
    assert client.get("/api/traces", params={"batch": batch}).json()["data"][0]["response"] == "b"
    for page in ("/", "/teachers", f"/batches/{batch}", "/traces"):
        assert client.get(page).status_code == 200, page


def test_a_licence_is_needed_and_an_unknown_one_is_empty(take, client):
    assert take([{"prompt": "a", "response": "b"}], license="").status_code == 422
    assert take([{"prompt": "a", "response": "b"}], license="unknown").status_code == 201
    assert client.get("/api/teachers/r1").json()["license"] == ""
    other = take([{"prompt": "a", "response": "b"}], license="mit")
    assert (other.status_code, "with the licence 'unknown'" in other.json()["detail"]) == (409, True)


def test_rows_of_one_prompt_become_one_prompt_with_several_answers(take, stored):
    rows = [{"prompt_id": 7, "id": n, "prompt": "a", "response": f"b{n}"} for n in range(3)]
    answer = take([*rows, {"prompt_id": 8, "prompt": "a", "response": "b"}])
    assert (answer.json()["prompts"], answer.json()["n"], answer.json()["counts"]["total"]) == (2, 3, 4)
    traces = stored(answer)
    assert [trace["sample_index"] for trace in traces] == [0, 1, 2, 0]
    assert [trace["raw"]["imported"]["row"] for trace in traces] == [1, 2, 3, 4]
    error = first_error(take([*rows, {"prompt_id": 7, "prompt": "other", "response": "b"}]))
    assert (error["line"], error["code"]) == (4, "duplicate_id")


@pytest.mark.parametrize(
    ("row", "field", "says"),
    [
        ({"prompt": "a"}, None, "there is no answer: give 'response'"),
        ({"prompt": "a", "response": ""}, None, "no choice holds any text"),
        ({"prompt": "a", "response": "b", "completion": "c"}, None, "give either 'response' or 'completion'"),
        ({"messages": [{"role": "user", "content": ""}], "response": "b"}, None, "message 1 of the prompt"),
        ({"prompt": "a", "response": "b", "respons": 1}, "respons", "did you mean 'response'?"),
        ({"prompt": "a", "response": "b", "prompt_tokens": -1}, "prompt_tokens", "greater than or equal to 0"),
    ],
)
def test_a_bad_row_is_named_and_nothing_stays(take, client, row, field, says):
    error = first_error(take([{"prompt": "good", "response": "good"}, row]))
    assert (error["line"], error.get("field")) == (2, field)
    assert says in error["message"]
    assert client.get("/api/batches").json()["data"] == []
    assert client.get("/api/traces").json()["data"] == []
    assert client.get("/api/teachers/r1").status_code == 404


def test_the_same_import_is_made_once(take):
    rows = [{"prompt": "a", "response": "b"}]
    first, again = take(rows, key="k"), take(rows, key="k")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert take(rows, key="k", prompts_license="mit").status_code == 409


def test_an_import_that_broke_off_goes_on_with_whole_prompts(take, stored, client, monkeypatch):
    monkeypatch.setattr(submission, "CHUNK_ROWS", 2)
    rows = [{"prompt_id": n // 3, "prompt": f"a{n // 3}", "response": f"b{n}"} for n in range(15)]
    keep, chunks = imports.keep_chunk, []

    def breaks(*given: Any, **more: Any) -> bool:
        chunks.append(given)
        if len(chunks) == 2:
            raise RuntimeError("gone")
        return keep(*given, **more)

    monkeypatch.setattr(imports, "keep_chunk", breaks)
    with pytest.raises(RuntimeError, match="gone"):
        take(rows, key="k")
    (half,) = client.get("/api/batches").json()["data"]
    assert (half["state"], half["prompts"]) == ("validating", 2)
    answer = take(rows, key="k")
    assert answer.json()["id"] == half["id"]
    assert [trace["response"] for trace in stored(answer)] == [f"b{n}" for n in range(15)]


def test_a_mistake_far_down_takes_away_what_was_stored_above_it(take, client, monkeypatch):
    monkeypatch.setattr(submission, "CHUNK_ROWS", 2)
    error = first_error(take([{"prompt": "a", "response": "b"}] * 9 + [{"prompt": "a"}]))
    assert error["line"] == 10
    assert client.get("/api/traces").json()["data"] == []


def test_a_parquet_of_any_dataset_is_mapped(take, stored, tmp_path):
    table = pa.table({"problem": ["2 + 2?"], "solution": ["4"], "generation": ["<think>\nhm\n</think>\n4"], "n": [1]})
    pq.write_table(table, tmp_path / "t.parquet")
    body, maps = (tmp_path / "t.parquet").read_bytes(), ["problem:prompt", "solution:reference", "generation:response"]
    (trace,) = stored(take(body, kind=PARQUET, map=[*maps, "*:meta"]))
    assert (trace["reference"], trace["reasoning"], trace["response"], trace["meta"]) == ("4", "hm", "4", {"n": 1})
    assert "unknown column" in take(body, kind=PARQUET, map=maps).json()["detail"]


def test_what_was_said_of_a_prompt_comes_back_from_another_retorts_rows(take, stored):
    row = {"prompt": [{"role": "user", "content": "2 + 2?"}], "response": "4", "teacher": "r2", "sample_index": 0}
    first, second = stored(take([row | {"meta": '{"level":3}'}, row | {"meta": None}], format="retort"))
    assert (first["meta"], second["meta"]) == ({"level": 3, "teacher": "r2"}, {"teacher": "r2"})


def test_data_designers_reasoning_is_found_beside_the_answer(take, stored, tmp_path):
    columns = {"topic": ["sums"], "question": ["2 + 2?"], "answer": ["4"], "answer__reasoning_content": ["hm"]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    body = (tmp_path / "t.parquet").read_bytes()
    asked = {"format": "datadesigner", "map": ["question:prompt", "answer:response"]}
    (trace,) = stored(take(body, kind=PARQUET, **asked))
    assert (trace["reasoning"], trace["response"], trace["meta"]) == ("hm", "4", {"topic": "sums"})


def test_curators_log_keeps_what_the_server_said_and_who_got_no_answer(take, stored, client):
    request = {"model": "r1", "messages": [{"role": "user", "content": "2 + 2?"}], "original_row": {"q": 1}}
    whole = {"choices": [choice("4", reasoning_content="hm")], "usage": USAGE}
    lines: list[dict[str, Any]] = [
        {"response_message": "4", "raw_response": whole, "generic_request": request | {"original_row_idx": 0}},
        {"response_message": "5", "token_usage": {"input": 3, "output": 4}, "generic_request": request},
        {"response_message": None, "response_errors": ["timeout"], "generic_request": request},
    ]
    answer = take(lines, format="curator")
    first, second = stored(answer)
    assert (first["key"], first["reasoning"], first["reasoning_tokens"]) == ("0", "hm", 9)
    assert (second["response"], second["prompt_tokens"], second["completion_tokens"]) == ("5", 3, 4)
    batch = client.get(f"/api/batches/{answer.json()['id']}").json()
    assert (batch["counts"]["failed"], batch["reasons"]) == (1, {"failed_elsewhere": 1})


def test_openais_completions_and_batch_output_are_read_with_their_requests(take, stored):
    messages = [{"id": "m-0", "role": "user", "content": [{"type": "text", "text": "2 + "}, {"text": "2?"}]}]
    two = [choice("4", reasoning="hm"), choice("four") | {"index": 1}]
    reply = {"id": "chatcmpl-1", "object": "chat.completion", "model": "m", "choices": two, "usage": USAGE}
    request = {"model": "m", "messages": messages, "temperature": 0.5, "metadata": {"reference": "4"}}
    lines: list[dict[str, Any]] = [
        reply | {"messages": {"object": "list", "data": messages}},
        {"custom_id": "a", "request": {"body": request}, "response": {"status_code": 200, "body": reply}},
        {"custom_id": "b", "request": request, "response": None, "error": {"code": "rate_limited", "message": "no"}},
    ]
    answer = take(lines, format="openai")
    assert answer.json()["reasons"] == {"rate_limited": 1}
    traces = stored(answer)
    assert [(trace["key"], trace["response"]) for trace in traces] == [
        ("chatcmpl-1", "4"),
        ("chatcmpl-1", "four"),
        ("a", "4"),
        ("a", "four"),
    ]
    assert traces[0]["messages"] == [{"role": "user", "content": "2 + 2?"}]
    assert (traces[0]["reasoning"], traces[2]["reference"]) == ("hm", "4")
    alone = first_error(take([reply], format="openai"))
    assert (alone["field"], "the request is not in it" in alone["message"]) == ("messages", True)


def test_a_form_that_a_source_does_not_have_is_refused(take, tmp_path: Path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "t.parquet")
    answer = take((tmp_path / "t.parquet").read_bytes(), kind=PARQUET, format="openai")
    assert "'openai' comes as jsonl; the body is parquet" in answer.json()["detail"]
    assert "have one shape" in take([{"a": 1}], format="curator", map=["a:b"]).json()["detail"]


def test_examples_for_openais_fine_tuning_are_refused_by_line_and_field(take):
    asked, answer = {"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}
    good = {"messages": [asked, answer | {"weight": 1}], "parallel_tool_calls": False}
    pair = {"input": {"messages": [asked]}, "preferred_output": [answer], "non_preferred_output": [answer]}
    bad = [
        ({"messages": [asked]}, "messages", "at least 2"),
        ({"messages": [answer, asked]}, "messages.1.role", "the answer is the assistant's, and this is the user's"),
        ({"messages": [asked, answer | {"weight": 0}]}, "messages.1.weight", "nothing to learn"),
        ({"messages": [asked, answer | {"content": ""}]}, "messages.1.content", "the answer is empty"),
        ({"messages": [asked, answer | {"tool_calls": [{}]}]}, "messages.1.tool_calls", "not learnt here"),
        (good | {"tools": [{}]}, "tools", "not learnt here"),
        (good | {"message": []}, "message", "did you mean 'messages'?"),
        (good | {"retort": {"verifier": "maths"}}, "retort.verifier", "did you mean 'math'?"),
        (pair | {"preferred_output": [answer | {"content": ""}]}, "preferred_output.0.content", "empty"),
        (pair | {"input": {"messages": []}}, "input.messages", "at least 1"),
    ]
    answer = take([good, pair, *(row for row, _, _ in bad)], format="openai_examples")
    assert answer.status_code == 422
    for line, (error, (_, field, says)) in enumerate(zip(answer.json()["errors"], bad, strict=True), start=3):
        assert (error["line"], error["field"], says in error["message"]) == (line, field, True), error
    assert take([good, pair], format="openai_examples").json()["counts"]["stored"] == 3
