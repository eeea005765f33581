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
from pathlib import Path
from typing import Any, BinaryIO, Generic
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from filters.manifest import Manifest
from service.api.shapes.audit import AuditOut
from service.api.shapes.batches import BatchOut, SubmitOut
from service.api.shapes.datasets import PreviewOut, RebuildOut, VersionOut
from service.api.shapes.diffs import DiffOut, DiffRow
from service.api.shapes.labels import BatchLabels, TraceLabels
from service.api.shapes.proposals import Proposal
from service.api.shapes.renders import RenderOut
from service.api.shapes.runs import RunComparison, RunOut
from service.api.shapes.teachers import BenchmarkAdded, BenchmarkOut, KeyMade, KeyOut, Probe, TeacherOut
from service.api.shapes.traces import LedgerRow, TraceDetail, TraceOut, WhyOut
from service.connection import (
    CHUNK,
    CONNECT_S,
    Connection,
    Object,
    Progress,
    RetortError,
    T,
    as_object,
    counted,
    given,
    text_lines,
)
from service.formats.detect import CONTENT_TYPES, Format, by_name

Prompts = Path | BinaryIO | Iterable[Object]
"""A file (JSONL, CSV or Parquet), an open one, or rows."""
INGEST_S = 600.0
"""The rows of a batch are checked and stored after its last byte arrived; millions take minutes."""
RESEND_S = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Waits before a file whose submission broke off is sent again; together longer than a dead API holds a batch."""
TAKEN_IN_MAX_S = 6 * 3600.0
"""How long another request that takes in the same file is waited for."""


class Page(BaseModel, Generic[T]):
    """One page of a list; `next` is the `after` of the page that follows, None at the end."""

    data: list[T]
    next: int | str | None = None


class DatasetOut(BaseModel):
    """A dataset and its versions, newest first."""

    name: str
    versions: list[VersionOut]


class Client(Connection):
    """One method for each route. Every one raises RetortError, and nothing else, when its request fails."""

    def ready(self) -> Object:
        """Return what `/readyz` says of database and workers; raises when the service is up yet not ready."""
        return self._get(Object, "/readyz")

    # Teachers

    def add_teacher(self, name: str, base_url: str, model: str, license: str = "", **more: Any) -> TeacherOut:
        """Register a teacher, or update the one of this name. `more`: the other fields of `TeacherIn`."""
        body = {"name": name, "base_url": base_url, "model": model, "license": license, **given(more)}
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

    def audit(self, **query: Any) -> Page[AuditOut]:
        """Return one page of who did what, the newest first: `act`, `who`, `subject`, `after`, `limit`."""
        return self._get(Page[AuditOut], "/api/audit", **query)

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
        query = given({"teacher": list(teachers), "n": n, "set": set_name, **goal, **(sampling or {})})
        if columns:
            query["map"] = list(columns)
        kind = Format(format) if format else _format_of(prompts)
        headers = {"Content-Type": CONTENT_TYPE_OF[kind]} if kind else {}
        if isinstance(prompts, Path):
            headers["Content-Length"] = str(prompts.stat().st_size)
            if once and idempotency_key is None:
                idempotency_key = key_of(prompts, query)
        name = prompts.name if isinstance(prompts, Path) else None
        query |= given({"ungradable": ungradable, "file": name})  # not in the key: they change nothing about a batch
        headers |= _key(idempotency_key)
        timeout = httpx.Timeout(INGEST_S, connect=CONNECT_S)

        def send() -> SubmitOut:
            options: Object = {"params": query, "headers": headers, "timeout": timeout}
            return self._post(SubmitOut, "/api/batches", content=counted(_bytes_of(prompts), progress), **options)

        return _resent(send, note) if isinstance(prompts, Path) and idempotency_key else send()

    def import_traces(
        self,
        traces: Prompts,
        format: str,
        teacher: str,
        license: str,
        *,
        columns: Sequence[str] = (),
        idempotency_key: str | None = None,
        once: bool = False,
        progress: Progress | None = None,
        note: Callable[[str], None] | None = None,
        **more: Any,
    ) -> SubmitOut:
        """Import traces that `teacher`, under `license`, gave elsewhere; streamed and sent again as `submit` does.

        `format` is the tool that wrote them. `more`: `model`, `prompts_license`, `file` (its name).
        """
        query = {"format": format, "teacher": teacher, "license": license, **given(more)}
        if columns:
            query["map"] = list(columns)
        kind = _format_of(traces)
        headers = {"Content-Type": CONTENT_TYPE_OF[kind]} if kind else {}
        if isinstance(traces, Path):
            headers["Content-Length"] = str(traces.stat().st_size)
            query.setdefault("file", traces.name)
            if once and idempotency_key is None:
                idempotency_key = f"import-{key_of(traces, query)}"
        headers |= _key(idempotency_key)
        timeout = httpx.Timeout(INGEST_S, connect=CONNECT_S)

        def send() -> SubmitOut:
            options: Object = {"params": query, "headers": headers, "timeout": timeout}
            return self._post(SubmitOut, "/api/imports", content=counted(_bytes_of(traces), progress), **options)

        return _resent(send, note) if isinstance(traces, Path) and idempotency_key else send()

    def batches(self, *, after: str | int | None = None, limit: int | None = None) -> Page[BatchOut]:
        """Return one page of batches, newest first."""
        return self._get(Page[BatchOut], "/api/batches", after=after, limit=limit)

    def batch(self, batch_id: str) -> BatchOut:
        """Return one batch with its counts."""
        return self._get(BatchOut, f"/api/batches/{_segment(batch_id)}")

    def delete_batch(self, batch_id: str) -> None:
        """Delete an ended batch with its prompts and traces, as far as nothing was made from them."""
        self._request("DELETE", f"/api/batches/{_segment(batch_id)}")

    def cancel_batch(self, batch_id: str) -> BatchOut:
        """Ask no further; what is stored stays."""
        return self._post(BatchOut, f"/api/batches/{_segment(batch_id)}/cancel")

    def retry_batch(self, batch_id: str) -> BatchOut:
        """Ask again for the answers of an ended batch that failed or were cancelled."""
        return self._post(BatchOut, f"/api/batches/{_segment(batch_id)}/retry")

    def rewrite(
        self, source: str, kind: str, teacher: str | None = None, *, idempotency_key: str | None = None, **more: Any
    ) -> SubmitOut:
        """Rewrite the traces of a batch, or those that a version (NAME@N) keeps, into a new batch with their parents.

        `kind` is `compact`, by `teacher`, or `answer_only`. `more`: the other fields of `RewriteIn`.
        """
        name, at, number = source.partition("@")
        path = _version(name, int(number), "rewrites") if at else f"/api/batches/{_segment(source)}/rewrites"
        body = {"kind": kind, **given({"teacher": teacher, **more})}
        return self._post(SubmitOut, path, json=body, headers=_key(idempotency_key))

    def questions(self, batch_id: str, outcome: str = "keep") -> Iterator[Object]:
        """Yield the questions of a batch as prompt lines; with `reject` what is unusable, with `all` both."""
        with self._stream(f"/api/batches/{_segment(batch_id)}/questions", params={"outcome": outcome}) as answer:
            yield from (as_object(line) for line in text_lines(answer.iter_bytes()))

    # Soft labels

    def soft_labels(self, batch_id: str) -> BatchLabels:
        """Return how many answers of a batch have soft labels, and why others have none."""
        return self._get(BatchLabels, f"/api/batches/{_segment(batch_id)}/soft-labels")

    def add_soft_labels(self, batch_id: str, top_logprobs: int, teacher: str | None = None) -> BatchLabels:
        """Have an ended batch's traces scored, those without soft labels; by `teacher`, or each by its own."""
        body = given({"top_logprobs": top_logprobs, "teacher": teacher})
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

    def review(self, trace_id: int, outcome: str | None, author: str, **more: Any) -> TraceDetail:
        """Note what a person says: keep, reject, or None beside `tags` or `withdraws`. `more`: fields of `ReviewIn`."""
        body = {**given({"outcome": outcome}), "author": author, **given(more)}
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
        body = {"batches": list(batches), "recipe": recipe, **given({"sample": sample})}
        return self._post(PreviewOut, "/api/recipes/preview", json=body)

    def curate(self, name: str, batches: Sequence[str], recipe: Object, intended_use: str, **more: Any) -> VersionOut:
        """Start the curation of a new version of dataset `name`. `more`: `split`, `base`, `overrides`."""
        body = {"name": name, "batches": list(batches), "recipe": recipe, "intended_use": intended_use, **given(more)}
        return self._post(VersionOut, "/api/datasets", json=body)

    def delete_version(self, name: str, number: int) -> None:
        """Delete a version's rows, ledger and folder, as far as nothing was made from it."""
        self._request("DELETE", _version(name, number))

    def rebuild(self, name: str, number: int) -> RebuildOut:
        """Start writing a sealed version's folder anew from its ledger."""
        return self._post(RebuildOut, _version(name, number, "rebuild"))

    def rebuilding(self, name: str, number: int) -> RebuildOut:
        """Return what became of the newest rebuilding."""
        return self._get(RebuildOut, _version(name, number, "rebuild"))

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

    def diff(self, name: str, number: int, before: str | None = None) -> DiffOut:
        """Return what changed in a sealed version since `before`: a number or NAME@N, else the sealed one before it."""
        return self._get(DiffOut, _version(name, number, "diff"), **{"with": before})

    def diff_rows(self, name: str, number: int, change: str, before: str | None = None, **query: Any) -> Page[DiffRow]:
        """Return one page of traces that were `added`, `removed` or `moved`: `filter`, `reason`, `after`, `limit`."""
        return self._get(
            Page[DiffRow], _version(name, number, "diff", "rows"), **{"with": before, "change": change}, **query
        )

    def manifest(self, name: str, number: int) -> Manifest:
        """Return a sealed version's manifest."""
        return self._get(Manifest, _version(name, number, "manifest"))

    def card(self, name: str, number: int) -> str:
        """Return a sealed version's dataset card, Markdown."""
        return self._request("GET", _version(name, number, "card")).text

    def download(
        self, name: str, number: int, target: BinaryIO, *, progress: Progress | None = None, **query: Any
    ) -> None:
        """Write a sealed version to `target`: a zip of its folder, or with another `format` the rows of one `split`.

        `query`: the fields of `DownloadQuery`.
        """
        self._download(_version(name, number, "download"), target, progress, **query)

    def check_licence(self, teachers: Sequence[str], prompts: Sequence[str], base: str | None, use: str) -> Object:
        """Return what may be done with this combination of licences: `decision`, `duties`, `clauses`."""
        body = {"teachers": list(teachers), "prompts": list(prompts), "base": base, "use": use}
        return self._post(Object, "/api/licences/check", json=given(body))

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

    def render(
        self, name: str, number: int, student: str, *, method: str = "sft", config: Object | None = None
    ) -> RenderOut:
        """Start showing what `student` would read of a sealed version."""
        path = f"/api/datasets/{_segment(name)}/versions/{number}/renders"
        return self._post(RenderOut, path, json={"student": student, "method": method, "config": config or {}})

    def rendering(self, render_id: str) -> RenderOut:
        """Return one rendering; `report` once it is done."""
        return self._get(RenderOut, f"/api/renders/{_segment(render_id)}")

    def cancel_render(self, render_id: str) -> RenderOut:
        """Stop a rendering."""
        return self._post(RenderOut, f"/api/renders/{_segment(render_id)}/cancel")

    def unfit_rows(self, render_id: str, target: BinaryIO) -> None:
        """Write the rows that a rendering found unfit to `target`, as Parquet."""
        self._download(f"/api/renders/{_segment(render_id)}/rejected", target)

    def runs(self, *, limit: int | None = None) -> Page[RunOut]:
        """Return the newest runs."""
        return self._get(Page[RunOut], "/api/runs", limit=limit)

    def run(self, run_id: str) -> RunOut:
        """Return one run."""
        return self._get(RunOut, f"/api/runs/{_segment(run_id)}")

    def report(self, run_id: str) -> Object:
        """Return what a finished run measured; the trainer says its shape."""
        return self._get(Object, f"/api/runs/{_segment(run_id)}/report")

    def compare_runs(self, run_ids: Sequence[str]) -> RunComparison:
        """Return finished runs side by side, and the paired tests of the others' students against the first's."""
        return self._get(RunComparison, "/api/runs/compare", run=list(run_ids))

    def proposal(self, run_id: str, *, prompts: int | None = None) -> Proposal:
        """Return how many prompts of which category to ask next, from where the student of a run lacks most."""
        return self._get(Proposal, f"/api/runs/{_segment(run_id)}/proposal", prompts=prompts)

    def proposed(self, run_id: str, target: BinaryIO, *, prompts: int | None = None) -> None:
        """Write those prompts to `target`, as JSONL that can be submitted."""
        self._download(f"/api/runs/{_segment(run_id)}/proposal", target, prompts=prompts, format="jsonl")

    def run_file(self, run_id: str, name: str, target: BinaryIO) -> None:
        """Write a file of a run to `target`: `report.md`, `gap-SET.svg`, `gap-SET.png`, `log.txt`, `events.jsonl`, …"""
        self._download(f"/api/runs/{_segment(run_id)}/files/{_segment(name)}", target)

    def cancel_run(self, run_id: str) -> RunOut:
        """Stop a run; its checkpoints stay."""
        return self._post(RunOut, f"/api/runs/{_segment(run_id)}/cancel")

    def pause_run(self, run_id: str) -> RunOut:
        """Stop a run with a checkpoint, until it is resumed."""
        return self._post(RunOut, f"/api/runs/{_segment(run_id)}/pause")

    def resume_run(self, run_id: str) -> RunOut:
        """Go on with a paused run from its last checkpoint."""
        return self._post(RunOut, f"/api/runs/{_segment(run_id)}/resume")


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
