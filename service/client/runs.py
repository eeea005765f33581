"""Students: what they would read, their trainings, and what these measured."""

from collections.abc import Sequence
from typing import BinaryIO

from service.api.shapes.proposals import Proposal
from service.api.shapes.renders import RenderOut
from service.api.shapes.runs import QuantizeOut, RunComparison, RunOut
from service.client.paths import Page, key_header, segment
from service.connection import Connection, Object
from service.methods import TrainingMethod


class Runs(Connection):
    """Trainings, and renderings of what a student would read."""

    def train(
        self,
        dataset: str,
        student: str,
        *,
        method: TrainingMethod = "sft",
        config: Object | None = None,
        evaluation: Sequence[str] = (),
        launch: Object | None = None,
        idempotency_key: str | None = None,
    ) -> RunOut:
        """Start training `student` on `dataset` (`NAME@N`). `evaluation` are batches whose prompts measure it.

        `launch` are the processes to train in, such as `{"processes": 2}`.
        """
        body = {"dataset": dataset, "method": method, "student": student}
        body |= {"config": config or {}, "evaluation": list(evaluation), "launch": launch}
        return self._post(RunOut, "/api/runs", json=body, headers=key_header(idempotency_key))

    def render(
        self, name: str, number: int, student: str, *, method: TrainingMethod = "sft", config: Object | None = None
    ) -> RenderOut:
        """Start showing what `student` would read of a sealed version."""
        path = f"/api/datasets/{segment(name)}/versions/{number}/renders"
        return self._post(RenderOut, path, json={"student": student, "method": method, "config": config or {}})

    def rendering(self, render_id: str) -> RenderOut:
        """Return one rendering; `report` once it is done."""
        return self._get(RenderOut, f"/api/renders/{segment(render_id)}")

    def cancel_render(self, render_id: str) -> RenderOut:
        """Stop a rendering."""
        return self._post(RenderOut, f"/api/renders/{segment(render_id)}/cancel")

    def unfit_rows(self, render_id: str, target: BinaryIO) -> None:
        """Write the rows that a rendering found unfit to `target`, as Parquet."""
        self._download(f"/api/renders/{segment(render_id)}/rejected", target)

    def runs(self, *, limit: int | None = None) -> Page[RunOut]:
        """Return the newest runs."""
        return self._get(Page[RunOut], "/api/runs", limit=limit)

    def run(self, run_id: str) -> RunOut:
        """Return one run."""
        return self._get(RunOut, f"/api/runs/{segment(run_id)}")

    def report(self, run_id: str) -> Object:
        """Return what a finished run measured; the trainer says its shape."""
        return self._get(Object, f"/api/runs/{segment(run_id)}/report")

    def compare_runs(self, run_ids: Sequence[str]) -> RunComparison:
        """Return finished runs side by side, and the paired tests of the others' students against the first's."""
        return self._get(RunComparison, "/api/runs/compare", run=list(run_ids))

    def proposal(self, run_id: str, *, prompts: int | None = None) -> Proposal:
        """Return how many prompts of which category to ask next, from where the student of a run lacks most."""
        return self._get(Proposal, f"/api/runs/{segment(run_id)}/proposal", prompts=prompts)

    def proposed(self, run_id: str, target: BinaryIO, *, prompts: int | None = None) -> None:
        """Write those prompts to `target`, as JSONL that can be submitted."""
        self._download(f"/api/runs/{segment(run_id)}/proposal", target, prompts=prompts, format="jsonl")

    def run_file(self, run_id: str, name: str, target: BinaryIO) -> None:
        """Write a file of a run to `target`: `report.md`, `gap-SET.svg`, `gap-SET.png`, `log.txt`, `events.jsonl`, …"""
        self._download(f"/api/runs/{segment(run_id)}/files/{segment(name)}", target)

    def cancel_run(self, run_id: str) -> RunOut:
        """Stop a run; its checkpoints stay."""
        return self._post(RunOut, f"/api/runs/{segment(run_id)}/cancel")

    def quantize(self, run_id: str, bits: int, *, group_size: int | None = None) -> QuantizeOut:
        """Start making a finished student smaller: weights of 8 or 4 bits."""
        body = {"bits": bits, "group_size": group_size}
        return self._post(QuantizeOut, f"/api/runs/{segment(run_id)}/quantize", json=body)

    def quantizations(self, run_id: str) -> list[QuantizeOut]:
        """Return the quantizations of a student, the newest first, each with what it lost once it is done."""
        return self._get(Page[QuantizeOut], f"/api/runs/{segment(run_id)}/quantize").data

    def pause_run(self, run_id: str) -> RunOut:
        """Stop a run with a checkpoint, until it is resumed."""
        return self._post(RunOut, f"/api/runs/{segment(run_id)}/pause")

    def resume_run(self, run_id: str) -> RunOut:
        """Go on with a paused run from its last checkpoint."""
        return self._post(RunOut, f"/api/runs/{segment(run_id)}/resume")
