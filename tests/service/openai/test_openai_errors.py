"""`/v1/models`, and what mistakes look like anywhere under `/v1`."""

import sqlite3
from contextlib import closing

import pytest
from openai import AuthenticationError, BadRequestError, NotFoundError, OpenAI, PermissionDeniedError
from openai.types import Model

from service.app import create_app
from service.models import Run
from service.settings import Settings
from tests.service.openai.conftest import Served, line, post, register, strict, submit


def test_models_are_the_teachers_and_the_students(sdk, fake, database):
    with database.write() as session:
        values = {"dataset": "d", "version": 1, "method": "sft", "student": "base"}
        session.add(Run(id="run_done", state="succeeded", path="runs/run_done", finished_at=1.5, **values))
        session.add(Run(id="run_failed", state="failed", **values))
    raw = sdk.models.with_raw_response.list()
    assert [Model.model_validate(model, strict=True).id for model in raw.http_response.json()["data"]] == [
        *("small", "tiny", "run_done")
    ]
    student = strict(Model, sdk.models.with_raw_response.retrieve("run_done"))
    assert (student.created, student.owned_by) == (1, "retort")
    with pytest.raises(NotFoundError, match=r"retort teacher serve .*runs/run_done/student --name run_done") as missing:
        sdk.chat.completions.create(model="run_done", messages=[{"role": "user", "content": "2 + 2 = ?"}])
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(PermissionDeniedError, match="belong to their runs"):
        sdk.models.delete("run_done")
    with pytest.raises(BadRequestError, match="once it is served and registered"):
        submit(sdk, line("a", body={"model": "run_done"}))
    register(database, "run_done")
    assert [model.id for model in sdk.models.list()] == ["run_done", "small", "tiny"], "served, it is a teacher"


def test_a_model_is_one_of_the_sdks(sdk, fake):
    model = strict(Model, sdk.models.with_raw_response.retrieve("tiny"))
    assert (model.id, model.owned_by) == ("tiny", "retort")


@pytest.mark.parametrize("name", ["tinny", "meta/llama-3", "..%2f", "a" * 1000])
def test_an_unknown_model_is_not_found(refusing, name):
    for ask in (refusing[0].models.retrieve, refusing[0].models.delete):
        with pytest.raises(NotFoundError) as missing:
            ask(name)
        assert missing.value.code == "model_not_found"


def test_a_model_cannot_be_deleted(refusing):
    with pytest.raises(PermissionDeniedError, match="/api/teachers"):
        refusing[0].models.delete("tiny")
    assert refusing[0].models.retrieve("tiny").id == "tiny"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "assistants", 404, "unknown_url"),
        ("POST", "embeddings", 404, "unknown_url"),
        ("PUT", "files", 405, "method_not_supported"),
        ("DELETE", "batches/batch_1", 405, "method_not_supported"),
        ("GET", "batches/batch_no", 404, None),
    ],
)
def test_what_is_not_there_is_told_in_openais_words(refusing, method, path, status, code):
    answer = post(refusing[0].base_url, path, method=method)
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (answer.status_code, error["type"], error["code"]) == (status, "invalid_request_error", code)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"input_file_id": 1}', b"[" * 20_000, b'{"endpoint": "\\ud800"}'])
def test_a_body_that_cannot_be_read_is_told_in_openais_words(refusing, body):
    headers = {"Content-Type": "application/json"}
    answer = post(refusing[0].base_url, "batches", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_native_routes_keep_their_own_errors(refusing):
    answer = post(str(refusing[0].base_url).replace("/v1/", ""), "/api/batches/batch_no", method="GET")
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_body_that_is_packed_is_refused(refusing):
    answer = post(refusing[0].base_url, "batches", content=b"x", headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (415, "invalid_request_error")


def test_a_key_opens_what_its_scope_allows(tmp_path):
    served = Served(create_app(Settings(data_dir=tmp_path, database_url="", api_key="s3cret")))
    with OpenAI(base_url=f"{served.url}/v1", api_key="s3cret", max_retries=0) as sdk:
        assert list(sdk.models.list()) == []
        headers = {"Authorization": "Bearer s3cret"}
        reader = post(served.url, "/api/keys", json={"name": "r", "scope": "read"}, headers=headers).json()["token"]
    with OpenAI(base_url=f"{served.url}/v1", api_key="wrong", max_retries=0) as sdk:
        with pytest.raises(AuthenticationError) as refused:
            sdk.models.list()
        assert refused.value.code == "invalid_api_key"
    with OpenAI(base_url=f"{served.url}/v1", api_key=reader, max_retries=0) as sdk:
        assert list(sdk.models.list()) == []
        with pytest.raises(PermissionDeniedError) as refused:
            sdk.batches.cancel("batch_no")
        assert refused.value.code == "insufficient_permissions"
    served.stop()


def test_a_database_that_does_not_answer_is_told_as_such(tmp_path):
    settings = Settings(data_dir=tmp_path, database_url="")
    served = Served(create_app(settings))
    try:
        # The embedded database as a full disk or a lost volume leaves it: there, and of no use.
        with closing(sqlite3.connect(tmp_path / "retort.db")) as connection:
            connection.execute("drop table teacher")
        answer = post(served.url, "/v1/models", method="GET")
        assert (answer.status_code, answer.json()["error"]["type"]) == (503, "server_error")
        native = post(served.url, "/api/teachers", method="GET")
        assert (native.status_code, native.json()["title"]) == (503, "Retort cannot do this right now")
        assert answer.headers["Retry-After"] == native.headers["Retry-After"] == "1"
    finally:
        served.stop()
