"""Prompts on their way to the teachers, and traces that were made elsewhere."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

from pydantic import BaseModel

from service.api.shapes.batches import SubmitOut
from service.client.paths import Page, key_header
from service.client.sending import CONTENT_TYPE_OF, INGEST_TIMEOUT, Prompts, bytes_of, format_of, key_of, resent
from service.connection import Connection, Object, Progress, counted, given
from service.formats.detect import Format


class ImportOptions(TypedDict, total=False):
    """What else is known of imported traces, as in `ImportQuery`."""

    model: str | None
    prompts_license: str | None
    file: str | None


class ImportFormat(BaseModel):
    """A tool whose files can be imported, and the fields that their columns can be mapped to."""

    format: str
    made_by: str
    fields: list[str]


class Submissions(Connection):
    """Sending prompts and traces in; both stream, whatever their size."""

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
        kind = Format(format) if format else format_of(prompts)
        headers = {"Content-Type": CONTENT_TYPE_OF[kind]} if kind else {}
        if isinstance(prompts, Path):
            headers["Content-Length"] = str(prompts.stat().st_size)
            if once and idempotency_key is None:
                idempotency_key = key_of(prompts, query)
        name = prompts.name if isinstance(prompts, Path) else None
        query |= given({"ungradable": ungradable, "file": name})  # not in the key: they change nothing about a batch
        headers |= key_header(idempotency_key)

        def send() -> SubmitOut:
            options: Object = {"params": query, "headers": headers, "timeout": INGEST_TIMEOUT}
            return self._post(SubmitOut, "/api/batches", content=counted(bytes_of(prompts), progress), **options)

        return resent(send, note) if isinstance(prompts, Path) and idempotency_key else send()

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
        **more: Unpack[ImportOptions],
    ) -> SubmitOut:
        """Import traces that `teacher`, under `license`, gave elsewhere; streamed and sent again as `submit` does.

        `format` is the tool that wrote them. `more`: `model`, `prompts_license`, `file` (its name).
        """
        query = {"format": format, "teacher": teacher, "license": license, **given(more)}
        if columns:
            query["map"] = list(columns)
        kind = format_of(traces)
        headers = {"Content-Type": CONTENT_TYPE_OF[kind]} if kind else {}
        if isinstance(traces, Path):
            headers["Content-Length"] = str(traces.stat().st_size)
            query.setdefault("file", traces.name)
            if once and idempotency_key is None:
                idempotency_key = f"import-{key_of(traces, query)}"
        headers |= key_header(idempotency_key)

        def send() -> SubmitOut:
            options: Object = {"params": query, "headers": headers, "timeout": INGEST_TIMEOUT}
            return self._post(SubmitOut, "/api/imports", content=counted(bytes_of(traces), progress), **options)

        return resent(send, note) if isinstance(traces, Path) and idempotency_key else send()

    def import_formats(self) -> list[ImportFormat]:
        """Return what can be imported."""
        return self._get(Page[ImportFormat], "/api/imports/formats").data
