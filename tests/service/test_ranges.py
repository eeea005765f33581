"""A download that broke goes on where it stopped."""

import io
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.testclient import TestClient

from service.client import Client
from service.connection import RetortError
from service.ranges import ranged

BODY = bytes(range(200))
TAG = '"abc"'


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI()

    @app.get("/")
    def _(request: Request) -> Response:
        return ranged(lambda: pieces_of(BODY), {"ETag": TAG}, "application/zip", request.headers)

    with TestClient(app) as client:
        yield client


def pieces_of(body: bytes) -> Iterator[bytes]:
    return (body[place : place + 7] for place in range(0, len(body), 7))


@pytest.mark.parametrize(
    ("asked", "first", "end"),
    [
        ("bytes=0-", 0, 200),
        ("bytes=7-", 7, 200),
        ("bytes=13-20", 13, 21),
        ("bytes=199-", 199, 200),
        ("bytes=5-999", 5, 200),
    ],
)
def test_a_range_is_cut_out_of_what_is_made(client, asked, first, end):
    answer = client.get("/", headers={"Range": asked, "If-Range": TAG})
    assert (answer.status_code, answer.content) == (206, BODY[first:end])
    assert answer.headers["content-range"] == f"bytes {first}-{end - 1}/200"


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=3-", "If-Range": '"other"'}, {"Range": "lines=3-"}])
def test_the_whole_comes_where_nothing_or_something_else_is_asked_for(client, headers):
    answer = client.get("/", headers=headers)
    assert (answer.status_code, answer.content, answer.headers["accept-ranges"]) == (200, BODY, "bytes")


@pytest.mark.parametrize("asked", ["bytes=200-", "bytes=20-13"])
def test_a_range_without_a_byte_is_refused(client, asked):
    answer = client.get("/", headers={"Range": asked})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */200")


class Breaking(BaseHTTPRequestHandler):
    """Sends 60 bytes of what it promises, then hangs up; keeps what it was asked for."""

    asked: list[str | None]
    tag: str

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.asked.append(asked)
        same = self.headers["If-Range"] == self.tag
        first = int(re.findall(r"\d+", asked)[0]) if asked and same else 0
        self.send_response(206 if first else 200)
        self.send_header("ETag", self.tag)
        self.send_header("Content-Length", str(len(BODY) - first))
        self.end_headers()
        self.wfile.write(BODY[first : first + 60])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    monkeypatch.setattr("service.connection.RECONNECT_S", (0.0,) * 5)
    Breaking.asked, Breaking.tag = [], TAG
    with ThreadingHTTPServer(("127.0.0.1", 0), Breaking) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_client_takes_a_broken_download_up_again(breaking):
    target = io.BytesIO(b"before")
    target.seek(6)
    with Client(f"http://127.0.0.1:{breaking.server_port}") as client:
        client.download("sums", 1, target)
    assert target.getvalue() == b"before" + BODY
    assert Breaking.asked == [None, "bytes=60-", "bytes=120-", "bytes=180-"]


def test_the_client_begins_anew_where_the_bytes_are_others_now(breaking):
    target = io.BytesIO()

    def changes(_: int) -> None:
        Breaking.tag = '"new"'

    with Client(f"http://127.0.0.1:{breaking.server_port}") as client:
        client.download("sums", 1, target, progress=changes)
    assert target.getvalue() == BODY
    assert Breaking.asked == [None, "bytes=60-", "bytes=60-", "bytes=120-", "bytes=180-"]


def test_the_client_gives_up_where_nothing_more_comes(breaking, monkeypatch):
    monkeypatch.setattr(Breaking, "do_GET", lambda self: self.asked.append(self.headers["Range"]))
    with Client(f"http://127.0.0.1:{breaking.server_port}") as client, pytest.raises(RetortError, match="broke"):
        client.download("sums", 1, io.BytesIO())
    assert Breaking.asked == [None]
