"""Asking over HTTP: each way to fail has its own reason, and no key gets out."""

import asyncio
import socket
import threading
import time

import orjson
import pytest

from service.teachers.openai_reply import error_of
from service.teachers.protocol import Sampling, TeacherBusy, TeacherRefused
from workers.teachers.openai_http import OpenAITeacher

BUSY = {
    "rate_limited": "rate_limited",
    "server_error": "server_error",
    "overloaded": "overloaded",
    "dropped": "connection_lost",
    "down": "connection_lost",
    "dropped_in_body": "truncated_body",
    "truncated_body": "truncated_body",
    "invalid_json": "invalid_json",
    "wrong_shape": "wrong_shape",
    "no_choices": "empty_response",
    "empty_content": "empty_response",
    "null_content": "empty_response",
    "aborted": "aborted",
    "hang": "timeout",
    "slow": "timeout",
    "slow_body": "timeout",
}
REFUSED = {
    "unauthorized": "unauthorized",
    "unknown_model": "unknown_model",
    "prompt_too_long": "prompt_too_long",
}


@pytest.mark.parametrize(("scenario", "reason"), BUSY.items())
def test_each_passing_fault_has_its_own_reason(fake, ask, scenario, reason):
    fake.play(scenario)
    with pytest.raises(TeacherBusy) as caught:
        ask(timeout_s=1.0)
    assert caught.value.reason == reason


@pytest.mark.parametrize(("scenario", "reason"), REFUSED.items())
def test_each_lasting_fault_has_its_own_reason(fake, ask, scenario, reason):
    fake.play(scenario)
    with pytest.raises(TeacherRefused) as caught:
        ask()
    assert caught.value.reason == reason


def test_nobody_listening_is_connection_refused(ask, free_port):
    with pytest.raises(TeacherBusy, match="connection_refused"):
        ask(base_url=f"http://127.0.0.1:{free_port}/v1")


def test_a_plain_server_under_https_is_tls_failed(ask, fake):
    with pytest.raises(TeacherRefused, match="tls_failed"):
        ask(base_url=fake.base_url.replace("http:", "https:"))


def test_a_wrong_path_is_unknown_path(ask, fake):
    with pytest.raises(TeacherRefused, match="unknown_path"):
        ask(base_url=fake.base_url.replace("/v1", "/nowhere"))


@pytest.mark.parametrize(("form", "least"), [("seconds", 2.0), ("date", 1.0)])
def test_the_wait_that_a_teacher_asks_for_arrives(fake, ask, form, least):
    fake.play({"faults": [{"kind": "rate_limited", "retry_after_s": 2, "retry_after_form": form}]})
    with pytest.raises(TeacherBusy) as caught:
        ask()
    assert caught.value.retry_after_s is not None
    assert least <= caught.value.retry_after_s <= 3.0


def test_the_key_is_sent_and_quoted_nowhere(fake, ask, monkeypatch):
    fake.play({"api_key": "sk-secret"})
    monkeypatch.setenv("TEACHER_KEY", "sk-secret\n")
    assert ask(api_key_env="TEACHER_KEY")
    with pytest.raises(TeacherRefused, match="unauthorized"):
        ask()
    with pytest.raises(TeacherRefused, match="no_key"):
        ask(api_key_env="TEACHER_KEY_THAT_IS_NOT_SET")
    monkeypatch.setenv("TEACHER_KEY", "sk\r\nHost: elsewhere")
    with pytest.raises(TeacherRefused, match="bad_key"):
        ask(api_key_env="TEACHER_KEY")


def test_fields_meant_for_retort_never_reach_a_teacher(listener):
    body = b'{"choices":[{"message":{"content":"fine"}}]}'
    port, seen = listener(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    params = {"temperature": 0.7, "min_p": 0.1, "metadata": {"reference": "42"}, "store": True, "stream": True, "n": 9}
    asyncio.run(_ask(port, params))
    request = orjson.loads(seen[0].partition(b"\r\n\r\n")[2])
    assert request == {
        "temperature": 0.7,
        "min_p": 0.1,
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "n": 1,
    }


async def _ask(port, params=None, **options):
    async with OpenAITeacher(f"http://127.0.0.1:{port}", "m", timeout_s=20, **options) as teacher:
        return await teacher.complete([{"role": "user", "content": "hi"}], Sampling(params or {}))


@pytest.fixture
def listener():
    """Return a function that answers every connection with the bytes given, and keeps what it was sent."""
    open_sockets = []

    def listen(answer: bytes):
        server = socket.create_server(("127.0.0.1", 0))
        open_sockets.append(server)
        seen: list[bytes] = []

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    seen.append(connection.recv(1 << 20))
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return server.getsockname()[1], seen

    yield listen
    for each in open_sockets:
        each.shutdown(socket.SHUT_RDWR)
        each.close()


def test_a_redirect_is_not_followed(listener, fake):
    before = fake.calls()["calls"]
    target = fake.url("/v1/chat/completions").encode()
    port, _ = listener(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % target)
    with pytest.raises(TeacherRefused, match="redirected"):
        asyncio.run(_ask(port))
    assert fake.calls()["calls"] == before


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"220 smtp.example ESMTP\r\n", "wrong_shape"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "empty_response"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"yes"', "wrong_shape"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"choices": [3]}', "wrong_shape"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"cho", "truncated_body"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 39\r\n\r\n{"error":{"code":429,"message":"wait"}}', "rate_limited"),
    ],
)  # fmt: skip
def test_what_is_no_reply_has_a_reason_too(listener, answer, reason):
    port, _ = listener(answer)
    with pytest.raises(TeacherBusy) as caught:
        asyncio.run(_ask(port))
    assert caught.value.reason == reason


def test_a_reply_larger_than_the_limit_is_refused(fake, ask):
    fake.play({"response_words": 100_000, "reasoning_words": 0})
    with pytest.raises(TeacherRefused, match="reply_too_large"):
        ask(n=90)


def test_a_prompt_larger_than_a_megabyte_arrives(fake, ask):
    fake.play({"answer": "echo", "context_tokens": 1_000_000})
    prompt = "word " * 400_000
    assert ask(prompt)[0].response == prompt


def test_a_request_that_is_given_up_is_broken_off(fake):
    async def give_up():
        async with OpenAITeacher(fake.base_url, "fake") as teacher:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await teacher.complete([{"role": "user", "content": "hi"}], Sampling())
            fake.play("perfect")
            return await teacher.complete([{"role": "user", "content": "hi"}], Sampling())

    fake.play("hang")
    assert asyncio.run(give_up())


VLLM_032 = "max_tokens=9999 cannot be greater than max_model_len=512. Please request fewer output tokens."
VLLM_08 = "'max_tokens' is too large: 9999. This model's maximum context length is 512 tokens."


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, {"error": {"message": VLLM_032, "param": "max_tokens"}}, "max_tokens_too_large"),
        (400, {"error": {"message": VLLM_08}}, "max_tokens_too_large"),
        (400, {"error": {"message": "max_tokens must be greater than 0", "param": "max_tokens"}}, "bad_request"),
        (400, {"error": {"message": "x", "code": "context_length_exceeded"}}, "prompt_too_long"),
        (400, {"error": {"message": "temperature must be non-negative", "param": "temperature"}}, "bad_request"),
        (422, {"detail": "field required"}, "bad_request"),
        (401, {"error": "Unauthorized"}, "unauthorized"),
        (403, {}, "forbidden"),
        (404, {"error": {"message": "The model `x` does not exist.", "param": "model"}}, "unknown_model"),
        (404, {"detail": "Not Found"}, "unknown_path"),
        (413, "too large", "request_too_large"),
        (429, {"error": {"message": "pay", "code": "insufficient_quota"}}, "quota_exhausted"),
        (429, {"error": {"message": "wait"}}, "rate_limited"),
        (408, "", "timeout"),
        (502, "<html>bad gateway</html>", "bad_gateway"),
        (504, "", "gateway_timeout"),
        (599, "", "server_error"),
        (302, "", "redirected"),
        (418, "", "unexpected_status"),
    ],
)  # fmt: skip
def test_statuses_and_bodies_of_known_servers_are_told_apart(status, body, reason):
    text = body.encode() if isinstance(body, str) else orjson.dumps(body)
    error = error_of(status, None, text)
    assert error.reason == reason
    assert isinstance(error, TeacherBusy) is (status >= 500 or reason in {"timeout", "rate_limited"})
    assert len(error.detail) <= 500


def test_a_key_that_a_server_quotes_is_blotted_out(listener, monkeypatch):
    monkeypatch.setenv("TEACHER_KEY", "sk-secret")
    body = b'{"error":{"message":"Incorrect API key provided: sk-secret"}}'
    port, _ = listener(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    with pytest.raises(TeacherRefused) as caught:
        asyncio.run(_ask(port, api_key_env="TEACHER_KEY"))
    assert "sk-secret" not in f"{caught.value} {caught.value.detail} {caught.value.args}"
    assert "***" in caught.value.detail


def test_a_request_that_is_no_json_is_refused(ask):
    with pytest.raises(TeacherRefused, match="bad_request"):
        ask("a lone surrogate: \ud800")


def test_many_requests_share_one_pool(fake):
    async def crowd():
        async with OpenAITeacher(fake.base_url, "fake") as teacher:
            asked = [teacher.complete([{"role": "user", "content": f"{k}"}], Sampling()) for k in range(200)]
            return await asyncio.gather(*asked)

    fake.play({"latency_ms": 200})
    start = time.perf_counter()
    answers = asyncio.run(crowd())
    # One after the other they would take 40 s.
    assert time.perf_counter() - start < 20
    assert len({each[0].response for each in answers}) == 200
