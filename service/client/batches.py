"""Batches: what was asked, and how far it is."""

from collections.abc import Iterator
from typing import TypedDict, Unpack

from service.api.shapes.batches import BatchOut, PassRateOut, SubmitOut
from service.api.shapes.labels import BatchLabels
from service.client.paths import Page, Span, key_header, segment, version_path
from service.connection import Connection, Object, as_object, given, text_lines


class RewriteOptions(TypedDict, total=False):
    """How traces are rewritten, as in `RewriteIn`."""

    instruction: str | None
    share_max: float | None
    thinking: bool | None
    temperature: float | None
    max_tokens: int | None
    top_p: float | None
    seed: int | None


class Batches(Connection):
    """Batches, and what is made of a whole one."""

    def batches(self, *, after: str | int | None = None, limit: int | None = None) -> Page[BatchOut]:
        """Return one page of batches, newest first."""
        return self._get(Page[BatchOut], "/api/batches", after=after, limit=limit)

    def batch(self, batch_id: str) -> BatchOut:
        """Return one batch with its counts."""
        return self._get(BatchOut, f"/api/batches/{segment(batch_id)}")

    def delete_batch(self, batch_id: str) -> None:
        """Delete an ended batch with its prompts and traces, as far as nothing was made from them."""
        self._request("DELETE", f"/api/batches/{segment(batch_id)}")

    def cancel_batch(self, batch_id: str) -> BatchOut:
        """Ask no further; what is stored stays."""
        return self._post(BatchOut, f"/api/batches/{segment(batch_id)}/cancel")

    def retry_batch(self, batch_id: str) -> BatchOut:
        """Ask again for the answers of an ended batch that failed or were cancelled."""
        return self._post(BatchOut, f"/api/batches/{segment(batch_id)}/retry")

    def rewrite(
        self,
        source: str,
        kind: str,
        teacher: str | None = None,
        *,
        idempotency_key: str | None = None,
        **more: Unpack[RewriteOptions],
    ) -> SubmitOut:
        """Rewrite the traces of a batch, or those that a version (NAME@N) keeps, into a new batch with their parents.

        `kind` is `compact`, by `teacher`, or `answer_only`. `more`: the other fields of `RewriteIn`.
        """
        name, at, number = source.partition("@")
        path = version_path(name, int(number), "rewrites") if at else f"/api/batches/{segment(source)}/rewrites"
        body = {"kind": kind, **given({"teacher": teacher, **more})}
        return self._post(SubmitOut, path, json=body, headers=key_header(idempotency_key))

    def questions(self, batch_id: str, outcome: str = "keep") -> Iterator[Object]:
        """Yield the questions of a batch as prompt lines; with `reject` what is unusable, with `all` both."""
        with self._stream(f"/api/batches/{segment(batch_id)}/questions", params={"outcome": outcome}) as answer:
            yield from (as_object(line) for line in text_lines(answer.iter_bytes()))

    def soft_labels(self, batch_id: str) -> BatchLabels:
        """Return how many answers of a batch have soft labels, and why others have none."""
        return self._get(BatchLabels, f"/api/batches/{segment(batch_id)}/soft-labels")

    def add_soft_labels(self, batch_id: str, top_logprobs: int, teacher: str | None = None) -> BatchLabels:
        """Have an ended batch's traces scored, those without soft labels; by `teacher`, or each by its own."""
        body = given({"top_logprobs": top_logprobs, "teacher": teacher})
        return self._post(BatchLabels, f"/api/batches/{segment(batch_id)}/soft-labels", json=body)

    def cancel_soft_labels(self, batch_id: str) -> BatchLabels:
        """Score no further; soft labels that are stored stay."""
        return self._post(BatchLabels, f"/api/batches/{segment(batch_id)}/soft-labels/cancel")

    def pass_rates(self, batch_id: str, **span: Unpack[Span]) -> Page[PassRateOut]:
        """Return one page of prompts: how often each teacher was right, where the batch asked for right answers."""
        return self._get(Page[PassRateOut], f"/api/batches/{segment(batch_id)}/pass-rates", **span)
