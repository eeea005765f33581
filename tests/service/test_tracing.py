"""OpenTelemetry: one trace from the request to the teacher; and nothing of it where nobody asked."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ROOT = Path(__file__).parents[2]
ANSWER = {
    "id": "chat-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}
PROMPT = "what-is-two-and-two"


class Collector(ThreadingHTTPServer):
    """A collector of spans that is a teacher, too: it keeps what spans say and which trace each question named."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[dict[str, str]] = []
        self.parents: list[str] = []
        self.raw = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Collector
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({"object": "list", "data": [{"id": "m", "object": "model"}]})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/chat/completions":
            self.server.parents.append(self.headers.get("traceparent", ""))
            self._answer(ANSWER)
            return
        self.server.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            part = next(each.value.string_value for each in resource.resource.attributes if each.key == "service.name")
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                ids = {"trace": span.trace_id.hex(), "id": span.span_id.hex(), "parent": span.parent_span_id.hex()}
                self.server.spans.append({"part": part, "name": span.name, **ids})
        self._answer({})

    def _answer(self, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as made:
        threading.Thread(target=made.serve_forever).start()
        yield made
        made.shutdown()


def test_requests_jobs_and_questions_are_spans_and_teachers_learn_their_trace(collector, tmp_path):
    own = {name: value for name, value in os.environ.items() if not name.startswith(("RETORT_", "OTEL_"))}
    told = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "RETORT_DATA_DIR": str(tmp_path), "RETORT_LOG_FORMAT": "json"}
    told["OTEL_BSP_SCHEDULE_DELAY"] = "600000"  # so that nothing arrives but what is sent at the end
    up = [sys.executable, "-c", "from service.cli import main; main()", "up", "--port", "0", "--json"]
    with subprocess.Popen(
        up, env=own | told, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            with httpx.Client(base_url=url, headers={"X-Request-Id": "from-a-proxy"}) as client:
                teacher = {"name": "t", "base_url": f"{collector.url}/v1", "model": "m", "license": "mit"}
                client.post("/api/teachers", json=teacher).raise_for_status()
                asked = {"model": "t", "messages": [{"role": "user", "content": PROMPT}]}
                client.post("/v1/chat/completions", json=asked).raise_for_status()
                line = json.dumps({"prompt": PROMPT})
                batch = client.post("/api/batches?teacher=t", content=line).raise_for_status().json()["id"]
                while client.get(f"/api/batches/{batch}").json()["state"] != "completed":
                    time.sleep(0.1)
        finally:
            process.send_signal(signal.SIGTERM)
            _, logged = process.communicate(timeout=60)
    spans = {span["id"]: span for span in collector.spans}
    chats = sorted((span for span in collector.spans if span["name"] == "chat m"), key=lambda span: span["part"])
    assert [(chat["part"], spans[chat["parent"]]["name"]) for chat in chats] == [
        ("retort-api", "POST /v1/chat/completions"),
        ("retort-worker", "generate"),
    ]
    assert [parent.split("-")[1:3] for parent in collector.parents] == [[each["trace"], each["id"]] for each in chats]
    assert PROMPT.encode() not in collector.raw

    # What `retort up` writes beside it is JSON, line by line, with the same ids, and quotes nobody.
    lines = [json.loads(line) for line in logged.splitlines()]
    posted = next(line for line in lines if line.get("route") == "/v1/chat/completions")
    assert (posted["request_id"], posted["status"], posted["part"]) == ("from-a-proxy", 200, "api")
    assert any(line.get("part") == "worker" for line in lines)
    assert PROMPT not in logged


def test_a_collector_that_never_answers_does_not_hold_up_the_end():
    program = """
import time
from service import tracing
tracing.start("api")
with tracing.span("a", {}):
    pass
began = time.monotonic()
tracing.stop()
assert time.monotonic() - began < 5 * tracing.STOP_S  # one try alone takes ten seconds
"""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        done = subprocess.run([sys.executable, "-c", program], env=env, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0


def test_without_an_endpoint_nothing_of_it_is_imported():
    program = """
import sys
from service import tracing
from service.app import create_app
from workers.worker import Worker
tracing.start("api")
with tracing.span("a", {}):
    assert tracing.headers() == {}
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
