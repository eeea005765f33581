"""A typed Python client of the native API: one method for each route, streaming both ways.

    from service.client import Client

    with Client("http://127.0.0.1:8080") as retort:
        batch = retort.submit(Path("prompts.jsonl"), ["tiny"], n=4, sampling={"temperature": 0.7})
        print(retort.batch(batch.id).counts)

What comes back are the API's own shapes (`service.api.shapes`), so that a field renamed there is a type error here.
The OpenAI-compatible door has a client already: the `openai` SDK with `base_url=".../v1"`.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Generic, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from filters.manifest import Manifest
from service.api.shapes import (
    BatchLabels,
    BatchOut,
    BenchmarkAdded,
    BenchmarkOut,
    KeyMade,
    KeyOut,
    LedgerRow,
    PreviewOut,
    Probe,
    RunOut,
    SubmitOut,
    TeacherOut,
    TraceDetail,
    TraceLabels,
    TraceOut,
    VersionOut,
    WhyOut,
)
from service.formats.detect import CONTENT_TYPES, Format, by_name

T = TypeVar("T")
Object = dict[str, Any]
Prompts = Path | BinaryIO | Iterable[Object]
"""A file (JSONL, CSV or Parquet), an open one, or rows."""
Progress = Callable[[int], None]
"""Called with the bytes sent or received so far."""

CHUNK = 256 * 1024
"""Bytes of a file sent or received at a time."""
CONNECT_S = 5.0
INGEST_S = 600.0
"""The rows of a batch are checked and stored after its last byte arrived; millions take minutes."""
EVENTS_S = 45.0
"""Three missed keep-alives of an event stream: the connection is dead."""
RESEND_S = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Waits before a file whose submission broke off is sent again; together longer than a dead API holds a batch."""
TAKEN_IN_MAX_S = 6 * 3600.0
"""How long another request that takes in the same file is waited for."""
RECONNECT_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits between attempts to take up a broken event stream; then the reader is told."""


class RetortError(Exception):
    """What went wrong, as the API's problem document says it; `status` is 0 when no answer came at all."""

    retry_after_s: float | None = None
    """When to ask again, where the API said so."""

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


class Page(BaseModel, Generic[T]):
    """One page of a list; `next` is the `after` of the page that follows, None at the end."""

    data: list[T]
    next: int | str | None = None


class DatasetOut(BaseModel):
    """A dataset and its versions, newest first."""

    name: str
    versions: list[VersionOut]


class Client:
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

    def ready(self) -> Object:
        """Return what `/readyz` says of database and workers; raises when the service is up yet not ready."""
        return self._get(Object, "/readyz")

    # Teachers

    def add_teacher(self, name: str, base_url: str, model: str, license: str = "", **more: Any) -> TeacherOut:
        """Register a teacher, or update the one of this name. `more`: the other fields of `TeacherIn`."""
        body = {"name": name, "base_url": base_url, "model": model, "license": license, **_given(more)}
        return self._post(TeacherOut, "/api/teachers", json=body)

    def teachers(self) -> list[TeacherOut]:
        """Return all teachers."""
        return self._get(Page[TeacherOut], "/api/teachers").data

    def teacher(self, name: str) -> TeacherOut:
        """Return one teacher."""
        return self._get(TeacherOut, f"/api/teachers/{_segment(name)}")

    def probe(self, name: str) -> Probe:
        """Ask a teacher whether it is there; `ok` is false when it is not."""
        return self._post(Probe, f"/api/teachers/{_segment(name)}/probe")

    # Keys: all of it needs one with the scope `admin`

    def make_key(self, name: str, scope: str = "submit") -> KeyMade:
        """Make a key of scope `read`, `submit` or `admin`; its token is in this answer and nowhere else."""
        return self._post(KeyMade, "/api/keys", json={"name": name, "scope": scope})

    def keys(self) -> list[KeyOut]:
        """Return all keys, revoked ones too."""
        return self._get(Page[KeyOut], "/api/keys").data

    def revoke_key(self, key_id: str) -> KeyOut:
        """Revoke a key; its row stays."""
        return self._send(KeyOut, "DELETE", f"/api/keys/{_segment(key_id)}")

    # Batches

    def submit(
        self,
        prompts: Prompts,
        teachers: Sequence[str],
        *,
        n: int = 1,
        accept_k: int | None = None,
        max_tries: int | None = None,
        token_budget: int | None = None,
        ungradable: str | None = None,
        sampling: Object | None = None,
        set_name: str | None = None,
        columns: Sequence[str] = (),
        format: str | None = None,
        idempotency_key: str | None = None,
        once: bool = False,
        progress: Progress | None = None,
        note: Callable[[str], None] | None = None,
    ) -> SubmitOut:
        """Submit prompts, n answers asked of each teacher for each; they are streamed, never held in memory.

        With `accept_k` each teacher is asked about a prompt until so many answers are right, instead of `n` times: at
        most `max_tries` times, and until its answers have `token_budget` tokens in all.

        `ungradable` is `refuse` or `report`: what becomes of references that their verifier cannot grade.

        `sampling` is any of `temperature`, `max_tokens`, `top_p`, `seed`, `top_logprobs` (soft labels). `set_name` is
        what reports call the batch when it measures a student. `columns` are `COLUMN:FIELD` entries, `format` is
        `jsonl`, `csv` or `parquet` where a file's name does not say it.

        The same `idempotency_key` with the same prompts gives the batch it made before. With `once` a file has a key
        made of its bytes and these options. A file with a key is sent again by itself when the connection breaks, and
        `note` is told why; the service goes on where it had come to.
        """
        goal = {"accept_k": accept_k, "max_tries": max_tries, "token_budget": token_budget}
        query = _given({"teacher": list(teachers), "n": n, "set": set_name, **goal, **(sampling or {})})
        if columns:
            query["map"] = list(columns)
        kind = Format(format) if format else _format_of(prompts)
        headers = {"Content-Type": CONTENT_TYPE_OF[kind]} if kind else {}
        if isinstance(prompts, Path):
            headers["Content-Length"] = str(prompts.stat().st_size)
            if once and idempotency_key is None:
                idempotency_key = key_of(prompts, query)
        query |= _given({"ungradable": ungradable})  # not in the key: it changes nothing about a batch that was taken
        headers |= _key(idempotency_key)
        timeout = httpx.Timeout(INGEST_S, connect=CONNECT_S)

        def send() -> SubmitOut:
            options: Object = {"params": query, "headers": headers, "timeout": timeout}
            return self._post(SubmitOut, "/api/batches", content=_counted(_bytes_of(prompts), progress), **options)

        return _resent(send, note) if isinstance(prompts, Path) and idempotency_key else send()

    def batches(self, *, after: str | int | None = None, limit: int | None = None) -> Page[BatchOut]:
        """Return one page of batches, newest first."""
        return self._get(Page[BatchOut], "/api/batches", after=after, limit=limit)

    def batch(self, batch_id: str) -> BatchOut:
        """Return one batch with its counts."""
        return self._get(BatchOut, f"/api/batches/{_segment(batch_id)}")

    def cancel_batch(self, batch_id: str) -> BatchOut:
        """Ask no further; what is stored stays."""
        return self._post(BatchOut, f"/api/batches/{_segment(batch_id)}/cancel")

    def retry_batch(self, batch_id: str) -> BatchOut:
        """Ask again for the answers of an ended batch that failed or were cancelled."""
        return self._post(BatchOut, f"/api/batches/{_segment(batch_id)}/retry")

    def questions(self, batch_id: str, outcome: str = "keep") -> Iterator[Object]:
        """Yield the questions of a batch as prompt lines; with `reject` what is unusable, with `all` both."""
        with self._stream(f"/api/batches/{_segment(batch_id)}/questions", params={"outcome": outcome}) as answer:
            yield from (_object(line) for line in _lines(answer.iter_bytes()))

    # Soft labels

    def soft_labels(self, batch_id: str) -> BatchLabels:
        """Return how many answers of a batch have soft labels, and why others have none."""
        return self._get(BatchLabels, f"/api/batches/{_segment(batch_id)}/soft-labels")

    def add_soft_labels(self, batch_id: str, top_logprobs: int, teacher: str | None = None) -> BatchLabels:
        """Have an ended batch's traces scored, those without soft labels; by `teacher`, or each by its own."""
        body = _given({"top_logprobs": top_logprobs, "teacher": teacher})
        return self._post(BatchLabels, f"/api/batches/{_segment(batch_id)}/soft-labels", json=body)

    def trace_labels(self, trace_id: int, *, offset: int = 0, limit: int | None = None) -> TraceLabels:
        """Return a page of a trace's soft labels, from token `offset`; `next` is where the following page begins."""
        return self._get(TraceLabels, f"/api/traces/{trace_id}/soft-labels", offset=offset, limit=limit)

    # Traces

    def traces(self, **query: Any) -> Page[TraceOut]:
        """Return one page: `batch`, `teacher`, `category`, `outcome`, `reason`, `version`, `q`, `after`, `limit`."""
        return self._get(Page[TraceOut], "/api/traces", **query)

    def each_trace(self, **query: Any) -> Iterator[TraceOut]:
        """Yield every trace that fits, fetching page after page as they are read."""
        while True:
            page = self.traces(**query)
            yield from page.data
            if page.next is None:
                return
            query["after"] = page.next

    def trace(self, trace_id: int) -> TraceDetail:
        """Return one trace with its verdicts, reviews and the teacher's own message."""
        return self._get(TraceDetail, f"/api/traces/{trace_id}")

    def why(self, trace_id: int, version: str | None = None) -> WhyOut:
        """Return what each filter of a version (NAME@N; else the newest that judged it) made of a trace."""
        return self._get(WhyOut, f"/api/traces/{trace_id}/why", version=version)

    def review(self, trace_id: int, outcome: str, author: str, **more: Any) -> TraceDetail:
        """Note a person's verdict, keep or reject. `more`: `reason`, `response` (as edited)."""
        body = {"outcome": outcome, "author": author, **_given(more)}
        return self._send(TraceDetail, "PATCH", f"/api/traces/{trace_id}", json=body)

    # Recipes, datasets, licences

    def filters(self) -> Object:
        """Return the JSON schema of every filter's knobs, by kind."""
        return self._get(Object, "/api/recipes/filters")

    def add_benchmark(self, name: str, file: Path, columns: Sequence[str]) -> BenchmarkAdded:
        """Add a file (JSONL, CSV or Parquet) whose columns hold what a benchmark asks; recipes call it by the name."""
        form = by_name(file.name)
        with file.open("rb") as opened:
            return self._post(
                BenchmarkAdded,
                "/api/benchmarks",
                params={"name": name, "column": list(columns)},
                headers={"Content-Type": CONTENT_TYPE_OF[form]} if form else {},
                content=_bytes_of(opened),
                timeout=httpx.Timeout(INGEST_S, connect=CONNECT_S),
            )

    def benchmarks(self) -> list[BenchmarkOut]:
        """Return all benchmarks, by name."""
        return self._get(Page[BenchmarkOut], "/api/benchmarks").data

    def preview(self, batches: Sequence[str], recipe: Object, *, sample: int | None = None) -> PreviewOut:
        """Try a recipe on a sample of traces; nothing is stored."""
        body = {"batches": list(batches), "recipe": recipe, **_given({"sample": sample})}
        return self._post(PreviewOut, "/api/recipes/preview", json=body)

    def curate(self, name: str, batches: Sequence[str], recipe: Object, intended_use: str, **more: Any) -> VersionOut:
        """Start the curation of a new version of dataset `name`. `more`: `split`, `base`, `overrides`."""
        body = {"name": name, "batches": list(batches), "recipe": recipe, "intended_use": intended_use, **_given(more)}
        return self._post(VersionOut, "/api/datasets", json=body)

    def control(self, name: str, number: int, filter: str, *, seed: int = 0) -> VersionOut:
        """Curate as version `number` did, with a random draw of as many samples in the place of one filter."""
        return self._post(VersionOut, _version(name, number, "control"), json={"filter": filter, "seed": seed})

    def datasets(self) -> list[DatasetOut]:
        """Return all datasets with their versions."""
        return self._get(Page[DatasetOut], "/api/datasets").data

    def dataset(self, name: str) -> DatasetOut:
        """Return one dataset with its versions."""
        return self._get(DatasetOut, f"/api/datasets/{_segment(name)}")

    def version(self, name: str, number: int) -> VersionOut:
        """Return one version: its state, funnel, splits and licence."""
        return self._get(VersionOut, _version(name, number))

    def ledger(self, name: str, number: int, **query: Any) -> Page[LedgerRow]:
        """Return one page of verdicts: `outcome`, `filter`, `reason`, `after`, `limit`."""
        return self._get(Page[LedgerRow], _version(name, number, "ledger"), **query)

    def manifest(self, name: str, number: int) -> Manifest:
        """Return a sealed version's manifest."""
        return self._get(Manifest, _version(name, number, "manifest"))

    def card(self, name: str, number: int) -> str:
        """Return a sealed version's dataset card, Markdown."""
        return self._request("GET", _version(name, number, "card")).text

    def download(
        self, name: str, number: int, target: BinaryIO, *, progress: Progress | None = None, **query: Any
    ) -> None:
        """Write a sealed version to `target`: a zip of its folder, or with `format="jsonl"` the rows of one `split`."""
        self._download(_version(name, number, "download"), target, progress, **query)

    def check_licence(self, teachers: Sequence[str], prompts: Sequence[str], base: str | None, use: str) -> Object:
        """Return what may be done with this combination of licences: `decision`, `duties`, `clauses`."""
        body = {"teachers": list(teachers), "prompts": list(prompts), "base": base, "use": use}
        return self._post(Object, "/api/licences/check", json=_given(body))

    # Runs

    def train(
        self,
        dataset: str,
        student: str,
        *,
        method: str = "sft",
        config: Object | None = None,
        evaluation: Sequence[str] = (),
        idempotency_key: str | None = None,
    ) -> RunOut:
        """Start training `student` on `dataset` (`NAME@N`). `evaluation` are batches whose prompts measure it."""
        body = {"dataset": dataset, "method": method, "student": student}
        body |= {"config": config or {}, "evaluation": list(evaluation)}
        return self._post(RunOut, "/api/runs", json=body, headers=_key(idempotency_key))

    def runs(self, *, limit: int | None = None) -> Page[RunOut]:
        """Return the newest runs."""
        return self._get(Page[RunOut], "/api/runs", limit=limit)

    def run(self, run_id: str) -> RunOut:
        """Return one run."""
        return self._get(RunOut, f"/api/runs/{_segment(run_id)}")

    def report(self, run_id: str) -> Object:
        """Return what a finished run measured; the trainer says its shape."""
        return self._get(Object, f"/api/runs/{_segment(run_id)}/report")

    def run_file(self, run_id: str, name: str, target: BinaryIO) -> None:
        """Write a file of a run to `target`: `report.md`, `gap-SET.svg`, `gap-SET.png`, `log.txt`, `events.jsonl`, …"""
        self._download(f"/api/runs/{_segment(run_id)}/files/{_segment(name)}", target)

    def cancel_run(self, run_id: str) -> RunOut:
        """Stop a run; its checkpoints stay."""
        return self._post(RunOut, f"/api/runs/{_segment(run_id)}/cancel")

    # Events

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
        options: Object = {"params": _given({"subject": subject}), "timeout": timeout}
        headers = {"Accept": "text/event-stream"} | ({} if last_id is None else {"Last-Event-ID": str(last_id)})
        with self._stream("/api/events", headers=headers, **options) as answer:
            yield from parse_events(_lines(answer.iter_bytes()))

    # Requests

    def _get(self, kind: type[T], path: str, **query: Any) -> T:
        return self._send(kind, "GET", path, params=_given(query))

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
        with self._stream(path, params=_given(query)) as answer:
            for chunk in _counted(answer.iter_bytes(CHUNK), progress):
                target.write(chunk)

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
    return error


def describe(error: Object) -> str:
    """Return `  line 3, reference: must be text` of one entry of a problem document's `errors`."""
    number = next((f"{place} {error[place]}" for place in ("line", "row") if error.get(place)), "")
    place = ", ".join(str(part) for part in (number, error.get("field")) if part)
    return f"  {place}: {error.get('message', '')}" if place else f"  {error.get('message', '')}"


def key_of(path: Path, options: Object) -> str:
    """Return an idempotency key for a file submitted with these options: the same again is the same batch."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(json.dumps(options, sort_keys=True).encode())
    return f"file-{digest.hexdigest()}"


def _resent(send: Callable[[], T], note: Callable[[str], None] | None) -> T:
    """Call `send` until it is answered: after a break a few times, and as long as another request takes the file in."""
    failures, deadline = 0, time.monotonic() + TAKEN_IN_MAX_S
    while True:
        try:
            return send()
        except RetortError as error:
            if error.status == 409 and error.retry_after_s is not None and time.monotonic() < deadline:
                wait_s, failures = error.retry_after_s, 0
            elif failures == len(RESEND_S) or not _broke_off(error, begun=failures > 0):
                raise
            else:
                wait_s = RESEND_S[failures]
                failures += 1
            if note:
                note(f"{error.title}; sending again in {wait_s:.0f} s")
        time.sleep(wait_s)


def _broke_off(error: RetortError, *, begun: bool) -> bool:
    """Whether the same request may go through later: at the first attempt, a service that is not there is not."""
    if error.status:
        return error.status in {502, 503, 504}
    unreached = (httpx.ConnectError, httpx.ConnectTimeout)
    lost = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)
    return isinstance(error.__cause__, lost) and (begun or not isinstance(error.__cause__, unreached))


CONTENT_TYPE_OF = {kind: header for header, kind in reversed(CONTENT_TYPES.items())}


def _format_of(prompts: Prompts) -> Format | None:
    """Return the form of what is sent, None where only its bytes can tell."""
    if isinstance(prompts, Path):
        return by_name(prompts.name)
    return None if hasattr(prompts, "read") else Format.JSONL


def parse_events(lines: Iterable[str]) -> Iterator[Event]:
    """Yield the events in lines of `text/event-stream`; comments (keep-alives) and an unfinished event are skipped."""
    fields: dict[str, str] = {}
    last_id = 0
    for line in lines:
        if not line:
            if "data" in fields:
                last_id = int(fields["id"]) if fields.get("id", "").isdecimal() else last_id
                yield Event(last_id, fields.get("event", "message"), _object(fields["data"]))
            fields = {}
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        fields[name] = f"{fields['data']}\n{value}" if name == "data" and "data" in fields else value


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Split at line feeds alone: httpx's `iter_lines` also splits at U+2028, which JSON text may hold."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.removesuffix(b"\r").decode() for line in whole)


def _object(text: str) -> Object:
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return value if isinstance(value, dict) else {"value": value}


def _given(values: Object) -> Object:
    return {name: value for name, value in values.items() if value is not None}


def _key(idempotency_key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": idempotency_key} if idempotency_key else {}


def _segment(text: str) -> str:
    """One segment of a path: an id with a slash in it must not become two."""
    return quote(text, safe="@")


def _version(name: str, number: int, *rest: str) -> str:
    return "/".join([f"/api/datasets/{_segment(name)}/versions/{number}", *rest])


def _bytes_of(prompts: Prompts) -> Iterator[bytes]:
    if isinstance(prompts, Path):
        with prompts.open("rb") as file:
            yield from _bytes_of(file)
    elif isinstance(prompts, Iterable) and not hasattr(prompts, "read"):
        for row in prompts:
            yield json.dumps(row, ensure_ascii=False).encode() + b"\n"
    else:
        while chunk := prompts.read(CHUNK):  # pyright: ignore[reportAttributeAccessIssue]
            yield chunk


def _counted(chunks: Iterator[bytes], progress: Progress | None) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        done += len(chunk)
        yield chunk
        if progress:
            progress(done)
