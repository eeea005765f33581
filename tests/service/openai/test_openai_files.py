"""`/v1/files` through the SDK."""

import errno
import os
import subprocess
import sys
import time

import orjson
import pytest
from openai import APIStatusError, BadRequestError, ConflictError, NotFoundError
from openai.types import FileDeleted, FileObject

from service.acts import Act
from service.spooling import spool_file, sweep_uploads
from service.store import audit
from service.store.audit import AuditFilter
from tests.service.openai.conftest import jsonl, line, post, submit, upload


def kept(settings) -> list:
    """Everything of uploads that lies on the disk."""
    return [path for folder in ("files", "uploads") for path in (settings.data_dir / folder).glob("*")]


def test_a_file_comes_back_as_it_went(sdk, teacher, settings):
    content = jsonl(line("a"), line("b", "3 + 3 = ?"))
    raw = sdk.files.with_raw_response.create(file=("prompts.jsonl", content), purpose="batch")
    file = strict_file(raw)
    assert (file.filename, file.purpose, file.bytes, file.status) == (
        "prompts.jsonl",
        "batch",
        len(content),
        "processed",
    )
    assert file.id.startswith("file-")
    assert strict_file(sdk.files.with_raw_response.retrieve(file.id)) == file
    assert sdk.files.content(file.id).content == content
    assert [path.name for path in kept(settings)] == [f"{file.id}.jsonl"]


def test_whoever_takes_away_an_uploaded_or_a_written_file_is_in_the_audit(sdk, teacher, database):
    batch = submit(sdk, line("a"))
    taken = [batch.input_file_id, f"file-output-{batch.id.removeprefix('batch_')}"]
    for file_id in taken:
        sdk.files.content(file_id)
    with database.read() as session:
        rows = audit.page(session, AuditFilter(act=Act.FILE_DOWNLOADED), after=0, limit=10)
        found = [(row.subject, row.who, row.detail["filename"]) for row in rows]
    assert found == [(taken[1], "anybody", f"{batch.id}_output.jsonl"), (taken[0], "anybody", "prompts.jsonl")]


def strict_file(raw) -> FileObject:
    return FileObject.model_validate_json(raw.content, strict=True)


def test_files_are_listed_by_purpose_page_by_page(sdk, teacher):
    ids = [upload(sdk, line(str(number))).id for number in range(3)]
    other = upload(sdk, {"messages": []}, purpose="fine-tune").id
    assert [file.id for file in sdk.files.list()] == [other, *reversed(ids)]
    assert [file.id for file in sdk.files.list(purpose="fine-tune")] == [other]
    page = sdk.files.list(purpose="batch", order="asc", limit=2)
    assert ([file.id for file in page.data], page.has_more) == (ids[:2], True)
    assert [file.id for file in page] == ids
    assert [file.id for file in sdk.files.list(after=ids[1], order="desc")] == ids[:1]


@pytest.mark.parametrize("limit", [0, -1, 10_001, 1_000_000_000])
def test_a_page_size_beyond_bounds_is_refused(refusing, limit):
    with pytest.raises(BadRequestError) as refused:
        refusing[0].files.list(limit=limit)
    assert refused.value.param == "limit"


def test_a_deleted_file_is_gone(sdk, teacher, settings):
    file = upload(sdk, line("a"))
    deleted = FileDeleted.model_validate_json(sdk.files.with_raw_response.delete(file.id).content, strict=True)
    assert (deleted.id, deleted.deleted) == (file.id, True)
    assert kept(settings) == []
    for ask in (sdk.files.retrieve, sdk.files.content, sdk.files.delete):
        with pytest.raises(NotFoundError):
            ask(file.id)
    assert list(sdk.files.list()) == []


def test_a_file_that_a_running_batch_is_made_of_stays_until_it_has_ended(sdk, teacher):
    batch = submit(sdk, line("a"))
    with pytest.raises(ConflictError, match=batch.id):
        sdk.files.delete(batch.input_file_id)
    sdk.batches.cancel(batch.id)
    assert sdk.files.delete(batch.input_file_id).deleted


@pytest.mark.parametrize(
    ("bad", "field", "code", "said"),
    [
        (line("a"), "custom_id", "duplicate_custom_id", "stands on line 1 too"),
        (line(""), "custom_id", "string_too_short", "at least 1 character"),
        (line("b", body={"stream": True}), "body.stream", "stream_not_allowed", "cannot stream"),
        (line("b", body={"stream_options": {"include_usage": True}}), "body.stream_options", "stream_not_allowed", ""),
        (line("b", costum_id="c"), "costum_id", "unknown_field", "did you mean 'custom_id'?"),
        (line("b", retort={"refrence": "4"}), "retort.refrence", "unknown_field", "did you mean 'reference'?"),
        (line("b", retort={"verifier": "maths"}), "retort.verifier", "value_error", "did you mean 'math'?"),
        (line("b", body={"metadata": {"verifier": "maths"}}), "verifier", "value_error", "did you mean 'math'?"),
        (line("b", url="/v1/embeddings"), "url", "invalid_url", "/v1/chat/completions alone"),
        (line("b", method="GET"), "method", "literal_error", "'POST'"),
        (line("b", body={"model": "tinny"}), "body.model", "model_not_found", "did you mean 'tiny'?"),
        (line("b", body={"messages": []}), "body.messages", "too_short", "at least 1 item"),
        (line("b", ""), "body.messages.0", "value_error", "no content"),
        (line("b", body={"n": 0}), "body.n", "greater_than_equal", "greater than or equal to 1"),
        (line("b", body={"n": 129}), "body.n", "less_than_equal", "less than or equal to 128"),
        (line("b", body={"n": 2}, retort={"n": 3}), None, "value_error", "body.n says 2 and retort.n 3"),
        (line("b", body={"retort": {"reference": "4"}}), "body", "value_error", "stands beside 'body', not in it"),
        (line("b", body={"metadata": {"k": 1}}), "body.metadata.k", "string_type", "valid string"),
        (line("b", body={"metadata": {str(k): "" for k in range(17)}}), "body.metadata", "too_long", "at most 16"),
        ({"custom_id": "b", "method": "POST", "url": "/v1/chat/completions"}, "body", "missing_field", "required"),
        (b'{"custom_id": "b"', None, "invalid_json_line", "not valid JSON"),
        (b'["b"]', None, "invalid_json_line", "expected a JSON object, found list"),
        (b'{"custom_id": "b\xff"}', None, "invalid_json_line", "not valid UTF-8 (byte 17 of the line)"),
        (b'{"custom_id": NaN}', None, "invalid_json_line", "not valid JSON"),
        (b"[" * 10_000, None, "invalid_json_line", "not valid JSON"),
        (b'{"custom_id": "\\u0000"}', None, "invalid_json_line", "NUL"),
    ],
)
def test_a_bad_line_is_named_and_nothing_of_the_file_is_kept(refusing, bad, field, code, said):
    sdk, settings = refusing
    with pytest.raises(BadRequestError) as refused:
        upload(sdk, line("a"), b"", bad, line("z"))
    place = "line 3" + (f", field '{field}': " if field else ": ")
    assert refused.value.message.find(place) > 0
    assert said in refused.value.message
    assert (refused.value.param, refused.value.code, refused.value.type) == ("file", code, "invalid_request_error")
    assert list(sdk.files.list()) == []
    assert kept(settings) == []


def test_every_bad_line_is_told_at_once_up_to_ten(sdk, teacher):
    with pytest.raises(BadRequestError) as refused:
        upload(sdk, line("a"), *[b"no json"] * 12)
    assert "line 2: not valid JSON" in refused.value.message
    assert "line 11: " in refused.value.message
    assert "line 12: " not in refused.value.message
    assert "and 2 more" in refused.value.message


def test_a_line_that_is_too_long_is_named_and_never_read_whole(sdk, teacher, settings):
    settings.row_bytes_max = 1000
    with pytest.raises(BadRequestError, match="line 2: the line is longer than 1,000 bytes"):
        upload(sdk, line("a"), line("b", "x" * 5000), line("c"))
    assert upload(sdk, line("a"), line("b", "x" * 700)).id


def test_a_batch_file_has_at_most_fifty_thousand_lines(sdk, teacher):
    lines = [line(str(number)) for number in range(50_001)]
    with pytest.raises(BadRequestError, match="more than 50,000 lines") as refused:
        upload(sdk, *lines)
    assert refused.value.code == "too_many_lines"
    assert submit(sdk, *lines[:-1]).request_counts.total == 50_000


def test_a_file_over_the_size_limit_is_refused_and_not_kept(sdk, teacher, settings):
    settings.body_bytes_max = 10_000
    with pytest.raises(APIStatusError) as refused:
        upload(sdk, line("a", "x" * 20_000))
    assert (refused.value.status_code, refused.value.code) == (413, "request_too_large")
    assert kept(settings) == []


def test_a_full_disk_is_told_and_nothing_is_kept(sdk, teacher, settings, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(APIStatusError, match="disk of the data folder is full") as refused:
            upload(sdk, line("a"))
    assert refused.value.status_code == 507
    assert (list(sdk.files.list()), kept(settings)) == ([], [])


def test_what_a_killed_upload_left_is_swept_and_a_living_one_is_not(tmp_path, settings):
    spool = "from service.spooling import spool_file; from service.settings import Settings; import os, sys\n"
    spool += "with spool_file(Settings(data_dir=sys.argv[1])): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", spool, settings.data_dir], check=False)
    (left,) = kept(settings)
    assert sweep_uploads(settings) == 0, "too young to tell"
    age(left, 120)
    with spool_file(settings) as living:
        age(living, 120)
        assert sweep_uploads(settings) == 1
        assert kept(settings) == [living]
        age(living, 2 * 86_400)
        assert sweep_uploads(settings) == 1
    assert kept(settings) == []


def age(path, by_s: float) -> None:
    """Let a file look older than it is."""
    os.utime(path, (time.time() - by_s,) * 2)


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file_is_refused(refusing, content):
    with pytest.raises(BadRequestError) as refused:
        refusing[0].files.create(file=("empty.jsonl", content), purpose="batch")
    assert refused.value.code == "empty_file"


@pytest.mark.parametrize("purpose", ["assistants", "vision", "user_data", "evals", "batch_output", ""])
def test_other_purposes_are_refused(refusing, purpose):
    with pytest.raises(BadRequestError, match="'batch' and 'fine-tune'") as refused:
        upload(refusing[0], line("a"), purpose=purpose)
    assert (refused.value.param, refused.value.code) == ("purpose", "invalid_purpose")


def test_an_expiry_that_would_not_be_kept_to_is_refused(refusing):
    expiry = {"anchor": "created_at", "seconds": 3600}
    with pytest.raises(BadRequestError) as refused:
        refusing[0].files.create(file=jsonl(line("a")), purpose="batch", expires_after=expiry)
    assert refused.value.param == "expires_after[anchor]"


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"data": {"purpose": "batch"}, "files": {"other": b"{}"}}, "in the field 'file'"),
        ({"data": {"purpose": "batch"}, "files": [("file", b"{}"), ("file", b"{}")]}, "one file is taken"),
        ({"files": {"purpose": (None, "batch")}}, "holds no file"),
        ({"files": {"purpose": (None, "b" * 5000)}}, "longer than 4096 bytes"),
        ({"json": {"purpose": "batch"}}, "multipart/form-data"),
        ({"content": b"--x\r\nbroken", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, "form"),
    ],
)
def test_a_form_that_is_none_is_refused(refusing, form, said):
    sdk, settings = refusing
    answer = post(sdk.base_url, "files", **form)
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]
    assert kept(settings) == []


def test_a_name_is_shown_and_never_a_path(sdk, teacher, settings):
    file = sdk.files.create(file=("../../etc/pass\u202ewd", jsonl(line("a"))), purpose="batch")
    assert file.filename == "passwd"
    assert [path.name for path in kept(settings)] == [f"{file.id}.jsonl"]


@pytest.mark.parametrize("file_id", ["file-no", "../retort.db", "file-output-no", "file-errors-", "a" * 4096])
def test_an_unknown_file_is_not_found(refusing, file_id):
    with pytest.raises(NotFoundError):
        refusing[0].files.content(file_id)


def test_examples_for_a_training_must_be_json_objects(sdk, teacher):
    assert upload(sdk, {"messages": []}, {"prompt": "a"}, purpose="fine-tune").purpose == "fine-tune"
    with pytest.raises(BadRequestError, match="line 2: not valid JSON"):
        upload(sdk, {"messages": []}, b"no", purpose="fine-tune")


def test_lines_keep_what_is_said_about_them(sdk, teacher, database):
    about = {"reference": 4, "verifier": "math", "category": "add", "source": "s", "license": "mit"}
    said = {"reference": "5", "category": "overruled", "team": "a"}
    body = {"temperature": 0.5, "chat_template_kwargs": {"enable_thinking": True}, "metadata": said, "store": True}
    submit(sdk, line("a", body=body, retort={**about, "n": 3}), line("b", body={"metadata": {"reference": "7"}}))
    first, second = prompts(database)
    assert {name: first[name] for name in about} == {**about, "reference": "4"}
    assert (first["n"], first["teacher"], first["key"], first["line"]) == (3, "tiny", "a", 1)
    assert orjson.loads(first["body"]) == {name: body[name] for name in ("temperature", "chat_template_kwargs")}
    assert orjson.loads(first["meta"]) == said
    assert (second["reference"], second["n"]) == ("7", 1)


def prompts(database) -> list:
    with database.read() as session:
        query = session.connection().exec_driver_sql("select * from prompt order by id")
        return [dict(row) for row in query.mappings()]
