"""`/v1/batches` through the SDK, answered by a worker process and a fake teacher."""

import orjson
import pytest
from openai import BadRequestError, ConflictError, NotFoundError
from openai.types import Batch, FileObject
from openai.types.chat import ChatCompletion

from service.store import batches
from tests.service.openai.conftest import ended, line, post, register, rows, store, strict, submit, upload, wait_for


def test_a_batch_is_answered_line_by_line(sdk, fake, worker):
    worker()
    batch = submit(sdk, *(line(f"id-{number}", f"{number} + 1 = ?") for number in range(10)), metadata={"team": "a"})
    assert (batch.status, batch.metadata, batch.model) == ("in_progress", {"team": "a"}, "tiny")
    assert batch.usage is None, "nothing is known yet"
    raw = sdk.batches.with_raw_response.retrieve(ended(sdk, batch.id).id)
    done = strict(Batch, raw)
    assert done.request_counts.model_dump() == {"total": 10, "completed": 10, "failed": 0}
    assert done.created_at <= done.in_progress_at <= done.finalizing_at <= done.completed_at < done.expires_at
    assert done.expires_at - done.created_at == pytest.approx(86_400, abs=1)
    assert (done.cancelled_at, done.failed_at, done.expired_at, done.errors, done.error_file_id) == (None,) * 5
    found = rows(sdk, done.output_file_id)
    assert set(found) == {f"id-{number}" for number in range(10)}
    spent = [row["response"]["body"]["usage"] for row in found.values()]
    assert done.usage.input_tokens == sum(usage["prompt_tokens"] for usage in spent)
    assert done.usage.output_tokens == sum(usage["completion_tokens"] for usage in spent)
    thought = sum(usage["completion_tokens_details"]["reasoning_tokens"] for usage in spent)
    assert done.usage.output_tokens_details.reasoning_tokens == thought > 0
    assert done.usage.total_tokens == done.usage.input_tokens + done.usage.output_tokens
    row = found["id-3"]
    assert set(row) == {"id", "custom_id", "response", "error"}
    assert (row["error"], row["response"]["status_code"], bool(row["response"]["request_id"])) == (None, 200, True)
    body = ChatCompletion.model_validate_json(orjson.dumps(row["response"]["body"]), strict=True)
    choice = body.choices[0]
    assert (body.model, choice.finish_reason) == ("tiny", "stop")
    assert choice.message.content
    assert choice.message.reasoning
    assert choice.message.reasoning == choice.message.reasoning_content
    assert body.usage.total_tokens == body.usage.prompt_tokens + body.usage.completion_tokens > 0


def test_its_files_are_read_while_it_runs(sdk, fake, worker):
    fake.play(faults=[{"kind": "hang", "match": "slow"}, {"kind": "prompt_too_long", "match": "long"}])
    worker()
    batch = submit(sdk, line("quick"), line("slow", "slow"), line("too long", "long"))
    counts = {"total": 3, "completed": 1, "failed": 1}
    running = wait_for(
        lambda: (found := sdk.batches.retrieve(batch.id)).request_counts.model_dump() == counts and found
    )
    assert running.status == "in_progress"
    assert set(rows(sdk, running.output_file_id)) == {"quick"}
    row = rows(sdk, running.error_file_id)["too long"]
    assert (row["response"], row["error"]["code"]) == (None, "prompt_too_long")
    assert row["error"]["message"]
    for file_id in (running.output_file_id, running.error_file_id):
        file = strict(FileObject, sdk.files.with_raw_response.retrieve(file_id))
        assert (file.id, file.purpose) == (file_id, "batch_output")
        assert file.bytes == len(sdk.files.content(file_id).content) > 0


def test_an_error_file_is_named_only_once_there_is_an_error(sdk, teacher):
    batch = submit(sdk, line("a"))
    assert (batch.error_file_id, rows(sdk, batch.output_file_id)) == (None, {})
    assert sdk.batches.cancel(batch.id).error_file_id


def test_each_line_names_its_teacher_and_how_it_is_asked(sdk, fake, worker, database):
    lines = [line(f"{name}-{number}", body={"model": name}) for number in range(6) for name in ("tiny", "small")]
    lines[0]["body"] |= {"n": 3, "temperature": 0.5}
    batch = submit(sdk, *lines)
    worker()
    done = ended(sdk, batch.id)
    assert (done.model, done.request_counts.completed, done.request_counts.total) == (None, 12, 12)
    found = rows(sdk, done.output_file_id)
    assert {name.split("-")[0] == row["response"]["body"]["model"] for name, row in found.items()} == {True}
    choices = found["tiny-0"]["response"]["body"]["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in choices}) == 3
    assert sorted(call["n"] for call in fake.calls()) == [1] * 11 + [3]
    with database.read() as session:
        assert batches.counts(session, batches.get(session, batch.id))["total"] == 14


def test_a_line_appears_when_its_last_answer_is_there(sdk, teacher, database):
    batch = submit(sdk, line("a", body={"n": 2}))
    store(database, batch.id, 0)
    assert sdk.batches.retrieve(batch.id).request_counts.completed == 0
    assert rows(sdk, batch.output_file_id) == {}
    store(database, batch.id, 1)
    assert sdk.batches.retrieve(batch.id).request_counts.completed == 1
    assert len(rows(sdk, batch.output_file_id)["a"]["response"]["body"]["choices"]) == 2


def test_a_line_of_which_an_answer_failed_is_an_error_that_says_so(sdk, fake, worker):
    fake.play(faults=[{"kind": "fewer_choices"}])
    worker()
    batch = ended(sdk, submit(sdk, line("a", body={"n": 6})).id)
    assert batch.request_counts.model_dump() == {"total": 1, "completed": 0, "failed": 1}
    assert rows(sdk, batch.output_file_id) == {}
    error = rows(sdk, batch.error_file_id)["a"]["error"]
    assert error["code"] in {"wrong_n", "empty_response"}
    assert "of 6 answers came" in error["message"]


def test_cancelling_keeps_what_is_there_and_names_the_rest(sdk, teacher, database):
    batch = submit(sdk, line("done"), line("pending"))
    store(database, batch.id, 0)
    cancelled = strict(Batch, sdk.batches.with_raw_response.cancel(batch.id))
    assert cancelled.status == "cancelled"
    assert cancelled.cancelling_at == cancelled.cancelled_at >= cancelled.created_at
    assert cancelled.request_counts.model_dump() == {"total": 2, "completed": 1, "failed": 0}
    assert set(rows(sdk, cancelled.output_file_id)) == {"done"}
    assert rows(sdk, cancelled.error_file_id)["pending"]["error"]["code"] == "batch_cancelled"
    assert sdk.batches.cancel(batch.id) == cancelled, "the same again is no mistake"


def test_a_batch_that_has_ended_cannot_be_cancelled(sdk, fake, worker):
    worker()
    batch = ended(sdk, submit(sdk, line("a")).id)
    with pytest.raises(ConflictError, match="already ended as completed"):
        sdk.batches.cancel(batch.id)


def test_the_same_lines_under_the_same_key_are_the_same_batch(sdk, teacher):
    key = {"extra_headers": {"Idempotency-Key": "once"}}
    first = submit(sdk, line("a"), line("b"), **key)
    again = submit(sdk, line("a"), line("b"), **key)
    assert again.id == first.id
    assert len(list(sdk.batches.list())) == 1
    with pytest.raises(ConflictError, match=first.id):
        submit(sdk, line("a"), line("c"), **key)
    with pytest.raises(ConflictError, match=first.id):
        submit(sdk, line("a"), line("b"), completion_window="48h", **key)
    assert submit(sdk, line("a"), line("b")).id != first.id


def test_batches_are_listed_newest_first_page_by_page(sdk, teacher, server):
    native = post(server.url, "/api/batches?teacher=tiny", json={"prompt": "a"}).json()
    ids = [submit(sdk, line("a")).id for _ in range(3)][::-1]
    page = sdk.batches.list(limit=2)
    assert ([batch.id for batch in page.data], page.has_more) == (ids[:2], True)
    assert [batch.id for batch in page] == ids
    assert [batch.id for batch in sdk.batches.list(after=ids[0])] == ids[1:]
    with pytest.raises(NotFoundError, match=f"/api/batches/{native['id']}"):
        sdk.batches.retrieve(native["id"])


@pytest.mark.parametrize(
    ("wrong", "param", "said"),
    [
        ({"input_file_id": "file-no"}, "input_file_id", "no file has the id"),
        ({"endpoint": "/v1/embeddings"}, "endpoint", "/v1/chat/completions alone"),
        ({"completion_window": "1 day"}, "completion_window", "pattern"),
        ({"completion_window": "9999d"}, "completion_window", "at most 90d"),
        ({"metadata": {"k" * 65: "v"}}, "metadata", "at most 64"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k", "at most 512"),
        ({"metadata": {str(number): "v" for number in range(17)}}, "metadata", "at most 16"),
        ({"extra_body": {"priority": 1}}, "priority", "not permitted"),
    ],
)
def test_a_wrong_order_is_refused(refusing, wrong, param, said):
    sdk, _ = refusing
    right = {"input_file_id": "file-no", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    with pytest.raises(BadRequestError) as refused:
        sdk.batches.create(**right | wrong)
    assert refused.value.param.startswith(param)
    assert said in refused.value.message


def test_metadata_within_bounds_comes_back(sdk, teacher):
    metadata = {"k" * 63 + str(number % 10) if number < 10 else str(number): "v" * 512 for number in range(16)}
    assert submit(sdk, line("a"), metadata=metadata).metadata == metadata


def test_only_a_file_uploaded_for_it_makes_a_batch(sdk, teacher):
    file = upload(sdk, {"messages": []}, purpose="fine-tune")
    with pytest.raises(BadRequestError, match="was uploaded for 'fine-tune'"):
        sdk.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")


def test_a_deleted_output_file_is_out_of_sight_and_its_traces_stay(sdk, teacher, database, server):
    batch = submit(sdk, line("a"))
    store(database, batch.id, 0)
    assert sdk.files.delete(batch.output_file_id).deleted
    for ask in (sdk.files.retrieve, sdk.files.content, sdk.files.delete):
        with pytest.raises(NotFoundError):
            ask(batch.output_file_id)
    traces = post(server.url, f"/api/traces?batch={batch.id}", method="GET").json()["data"]
    assert [trace["key"] for trace in traces] == ["a"]


def test_a_batch_of_this_door_is_one_like_all_others(sdk, fake, worker, server):
    worker()
    about = {"reference": "4", "verifier": "math", "category": "add"}
    batch = ended(sdk, submit(sdk, line("a", retort=about)).id)
    native = post(server.url, f"/api/batches/{batch.id}", method="GET").json()
    assert (native["state"], native["counts"]["stored"], native["teachers"]) == ("completed", 1, ["tiny"])
    (trace,) = post(server.url, f"/api/traces?batch={batch.id}", method="GET").json()["data"]
    assert (trace["reference"], trace["category"], trace["key"]) == ("4", "add", "a")


def test_a_teacher_registered_after_the_upload_changes_nothing(sdk, teacher, database):
    file = upload(sdk, line("a"))
    register(database, "other")
    batch = sdk.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert batch.model == "tiny"


def test_the_completion_of_a_line_is_found_under_its_id_with_its_metadata(sdk, fake, worker):
    worker()
    batch = ended(sdk, submit(sdk, line("a", body={"store": True, "metadata": {"team": "x"}}), line("b")).id)
    body = rows(sdk, batch.output_file_id)["a"]["response"]["body"]
    kept = strict(ChatCompletion, sdk.chat.completions.with_raw_response.retrieve(body["id"]))
    assert (kept.id, kept.metadata) == (body["id"], {"team": "x"})
    assert kept.choices[0].message.content == body["choices"][0]["message"]["content"]
    assert [message.content for message in sdk.chat.completions.messages.list(kept.id)] == ["2 + 2 = ?"]
    assert list(sdk.chat.completions.list()) == [], "a list of fifty thousand lines helps nobody"
    assert sdk.chat.completions.update(kept.id, metadata={"team": "y"}).metadata == {"team": "y"}
    assert sdk.chat.completions.delete(kept.id).deleted
    for gone in (kept.id, "chatcmpl-999999999999999999", "chatcmpl-9999999999999999999999", "chatcmpl-"):
        with pytest.raises(NotFoundError):
            sdk.chat.completions.retrieve(gone)


def test_references_that_cannot_be_graded_are_counted_or_refused(sdk, teacher):
    lines = [
        line("a", retort={"reference": "4", "verifier": "number"}),
        line("b", body={"metadata": {"reference": "?!"}}),
    ]
    lines.append(line("c", retort={"reference": "four", "verifier": "number"}))
    file = upload(sdk, *lines)
    options = {"endpoint": "/v1/chat/completions", "completion_window": "24h", "input_file_id": file.id}
    with pytest.raises(BadRequestError, match="line 3, field 'reference': the verifier 'number' cannot grade"):
        sdk.batches.create(**options, extra_body={"retort": {"ungradable": "refuse"}})
    told = sdk.batches.create(**options).retort
    assert told["ungradable"] == 1
    assert told["ungradable_first"] == [{"line": 3, "id": "c", "verifier": "number", "reference": "four"}]
