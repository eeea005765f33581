"""A connection to the API: requests answered in its own shapes, event streams taken up again, errors told apart."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Self, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")
Object = dict[str, Any]
Progress = Callable[[int], None]
"""Called with the bytes sent or received so far."""

CHUNK = 256 * 1024
"""Bytes of a file sent at a time."""
CONNECT_S = 5.0
EVENTS_S = 45.0
"""Three missed keep-alives of an event stream: the connection is dead."""
RECONNECT_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits between attempts to take up a broken event stream or download; then the reader is told."""
PARTIAL = 206


class RetortError(Exception):
    """What went wrong, as the API's problem document says it; `status` is 0 when no answer came at all."""

    retry_after_s: float | None = None
    """When to ask again, where the API said so."""
    request_id: str = ""
    """What the API's log calls the request."""

    def __init__(
        self, status: int, title: str, detail: str = "", errors: Sequence[Object] = (), errors_total: int | None = None
    ) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = list(errors)
        self.errors_total = len(self.errors) if errors_total is None else errors_total
        """The API lists only the first of many."""

    def __str__(self) -> str:
        """Title and detail, then one line for each error with the line and field it is about."""
        head = f"{self.title}: {self.detail}" if self.detail else self.title
        more = self.errors_total - len(self.errors)
        return "\n".join([head, *map(describe, self.errors), *([f"  … and {more} more"] if more > 0 else [])])


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; `id` is what to resume after."""

    id: int
    kind: str
    data: Object


class Connection:
    """A connection to one Retort. Every method raises RetortError, and nothing else, when its request fails."""

    def __init__(
        self, base_url: str = "http://127.0.0.1:8080", api_key: str | None = None, *, timeout_s: float = 60.0
    ) -> None:
        self.base_url = base_url.rstrip("/")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        timeout = httpx.Timeout(timeout_s, connect=CONNECT_S)
        with self._told_apart():
            self._http = httpx.Client(base_url=self.base_url, headers=headers, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def events(self, subject: str | None = None, last_id: int | None = None) -> Iterator[Event]:
        """Yield what happens to `subject` (a batch, `NAME@N`, a run), or to everything, without end.

        Without `last_id` a subject is told from its beginning and everything from now on. A stream that breaks is taken
        up after the last event seen, so that nothing is missed and nothing comes twice.
        """
        failures = 0
        while True:
            try:
                for event in self._event_stream(subject, last_id):
                    last_id, failures = event.id, 0
                    yield event
            except RetortError as error:
                if error.status or failures == len(RECONNECT_S) - 1:
                    raise
            time.sleep(RECONNECT_S[failures])
            failures = min(failures + 1, len(RECONNECT_S) - 1)

    def _event_stream(self, subject: str | None, last_id: int | None) -> Iterator[Event]:
        timeout = httpx.Timeout(EVENTS_S, connect=CONNECT_S)
        options: Object = {"params": given({"subject": subject}), "timeout": timeout}
        headers = {"Accept": "text/event-stream"} | ({} if last_id is None else {"Last-Event-ID": str(last_id)})
        with self._stream("/api/events", headers=headers, **options) as answer:
            yield from parse_events(text_lines(answer.iter_bytes()))

    def _get(self, kind: type[T], path: str, **query: Any) -> T:
        return self._send(kind, "GET", path, params=given(query))

    def _post(self, kind: type[T], path: str, **options: Any) -> T:
        return self._send(kind, "POST", path, **options)

    def _send(self, kind: type[T], method: str, path: str, **options: Any) -> T:
        answer = self._request(method, path, **options)
        try:
            return TypeAdapter(kind).validate_json(answer.content)
        except ValidationError as error:
            detail = f"{method} {path} did not answer as expected: {error.errors()[0]['msg']}"
            raise RetortError(0, f"{self.base_url} is not a Retort of this version", detail) from error

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        with self._told_apart():
            answer = self._http.request(method, path, **options)
        if not answer.is_success:
            raise read_problem(answer)
        return answer

    @contextmanager
    def _stream(self, path: str, **options: Any) -> Iterator[httpx.Response]:
        with self._told_apart(), self._http.stream("GET", path, **options) as answer:
            if not answer.is_success:
                answer.read()
                raise read_problem(answer)
            yield answer

    def _download(self, path: str, target: BinaryIO, progress: Progress | None = None, **query: Any) -> None:
        """Write an answer to `target`, a file; when the connection breaks, go on behind what is there already."""
        start = target.tell()
        tag: str | None = None
        failures = 0
        while True:
            done = target.tell() - start
            ask = {"Range": f"bytes={done}-", "If-Range": tag} if done and tag else {}
            try:
                with self._stream(path, params=given(query), headers=ask) as answer:
                    tag = answer.headers.get("ETag")
                    if answer.status_code != PARTIAL:
                        target.seek(start)
                        target.truncate()
                        done = 0
                    for chunk in counted(answer.iter_bytes(), progress, done):
                        target.write(chunk)
                        failures = 0
                return
            except RetortError as error:
                if error.status or not tag or failures == len(RECONNECT_S) - 1:
                    raise
            time.sleep(RECONNECT_S[failures])
            failures += 1

    @contextmanager
    def _told_apart(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError as error:
            raise RetortError(0, f"no Retort at {self.base_url}", "start one with `retort up`") from error
        except httpx.TimeoutException as error:
            raise RetortError(0, f"{self.base_url} did not answer in time", type(error).__name__) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise RetortError(0, f"'{self.base_url}' is not a URL", "expected http://host:port") from error
        except httpx.HTTPError as error:
            raise RetortError(0, f"the connection to {self.base_url} broke", str(error)) from error


def read_problem(answer: httpx.Response) -> RetortError:
    """Read a problem document, or make one of whatever a proxy in between said instead."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return RetortError(answer.status_code, f"HTTP {answer.status_code}", answer.text.strip()[:300])
    title = str(body.get("title") or f"HTTP {answer.status_code}")
    errors = body.get("errors")
    listed = errors if isinstance(errors, list) else []
    error = RetortError(answer.status_code, title, str(body.get("detail") or ""), listed, body.get("errors_total"))
    after = answer.headers.get("retry-after", "")
    error.retry_after_s = float(after) if after.isdecimal() else None
    error.request_id = answer.headers.get("x-request-id", "")
    return error


def describe(error: Object) -> str:
    """Return `  line 3, reference: must be text` of one entry of a problem document's `errors`."""
    number = next((f"{place} {error[place]}" for place in ("line", "row") if error.get(place)), "")
    place = ", ".join(str(part) for part in (number, error.get("field")) if part)
    return f"  {place}: {error.get('message', '')}" if place else f"  {error.get('message', '')}"


def parse_events(lines: Iterable[str]) -> Iterator[Event]:
    """Yield the events in lines of `text/event-stream`; comments (keep-alives) and an unfinished event are skipped."""
    fields: dict[str, str] = {}
    last_id = 0
    for line in lines:
        if not line:
            if "data" in fields:
                last_id = int(fields["id"]) if fields.get("id", "").isdecimal() else last_id
                yield Event(last_id, fields.get("event", "message"), as_object(fields["data"]))
            fields = {}
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        fields[name] = f"{fields['data']}\n{value}" if name == "data" and "data" in fields else value


def text_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Split at line feeds alone: httpx's `iter_lines` also splits at U+2028, which JSON text may hold."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.removesuffix(b"\r").decode() for line in whole)


def as_object(text: str) -> Object:
    """Read a line of JSON; what is no object becomes the `value` of one."""
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return value if isinstance(value, dict) else {"value": value}


def given(values: Mapping[str, Any]) -> Object:
    """Return the values that are there."""
    return {name: value for name, value in values.items() if value is not None}


def counted(chunks: Iterator[bytes], progress: Progress | None, done: int = 0) -> Iterator[bytes]:
    """Pass chunks on, telling how many bytes went by, with those that were there before."""
    for chunk in chunks:
        done += len(chunk)
        yield chunk
        if progress:
            progress(done)
