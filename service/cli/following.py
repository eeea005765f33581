"""Following batches, dataset versions and runs: how far they are, how fast, and what they wait for."""

from typing import TYPE_CHECKING, Any

from service.cli.terminal import Terminal
from service.cli.watch import Look, watch
from service.cli.words import clean, counted, duration, number, size

if TYPE_CHECKING:
    from service.api.shapes.batches import BatchOut
    from service.api.shapes.datasets import VersionOut
    from service.api.shapes.runs import RunOut

ENDED_WELL = {"completed", "sealed", "succeeded"}
ENDED_BADLY = {"failed", "expired", "cancelled", "deleted"}
ENDED = ENDED_WELL | ENDED_BADLY
_WHILE_TRAINING = {"training", "step", "eval_loss", "saved"}


def ended(state: Any) -> bool:
    """Whether a batch, version or run will not move any more."""
    return state.state in ENDED


def follow_batch(terminal: Terminal, batch_id: str, *, quiet: bool = False) -> "BatchOut":
    """Follow a batch to its end."""
    why = _Waiting(terminal)
    return watch(
        terminal,
        batch_id,
        lambda: terminal.client.batch(batch_id),
        ended,
        lambda batch: look_of_batch(batch, why(batch)),
        quiet=quiet,
    )


def follow_version(terminal: Terminal, name: str, version: int, *, quiet: bool = False) -> "VersionOut":
    """Follow a curation to its end."""
    label = f"{name}@{version}"
    return watch(terminal, label, lambda: terminal.client.version(name, version), ended, look_of_version, quiet=quiet)


def follow_run(terminal: Terminal, run_id: str, *, quiet: bool = False) -> "RunOut":
    """Follow a run to its end."""
    told: dict[str, dict[str, Any]] = {}

    def look(run: "RunOut") -> Look:
        # The run carries its newest event alone; the one before may have told the loss.
        if run.progress:
            told[str(run.progress.get("event"))] = run.progress
        return look_of_run(run, told)

    return watch(terminal, run_id, lambda: terminal.client.run(run_id), ended, look, quiet=quiet)


def look_of_batch(batch: "BatchOut", waiting: list[str]) -> Look:
    """Return how far a batch is, how fast, and what it waits for."""
    counts = batch.counts
    failed = f"{counts.failed:,} failed" + (f" ({counted(batch.reasons)})" if batch.reasons else "")
    lines = [f"{counts.stored:,} stored, {failed}, {counts.pending:,} pending"]
    if batch.answers_per_s and counts.pending:
        lines.append(
            f"{number(batch.answers_per_s)} answers/s, {number(batch.tokens_per_s)} tokens/s, "
            f"about {duration(batch.eta_s)} left"
        )
    return Look(f"{batch.id} {batch.state}", counts.total - counts.pending, counts.total, lines + waiting)


def look_of_version(version: "VersionOut") -> Look:
    """Return how far a curation is."""
    done, total = version.progress.done, version.progress.total
    label = f"{version.dataset}@{version.number} {version.state}"
    return Look(label, done, total, [f"{done:,} of {total:,} traces judged" if total else "waiting for a worker"])


def look_of_run(run: "RunOut", told: dict[str, dict[str, Any]]) -> Look:
    """Return how far a training is: `told` holds the newest event of each kind that was seen."""
    title = f"{run.id} {run.state}"
    newest = run.progress or {}
    kind = str(newest.get("event", ""))
    if run.state == "validating_files":
        return Look(title, 0, 0, ["its files are being checked and made a dataset version"])
    if kind not in _WHILE_TRAINING:
        done, total = newest.get("done") or 0, newest.get("total") or 0
        words = " ".join(str(word) for word in (kind, newest.get("model"), newest.get("mode")) if word)
        line = words.replace("_", " ") + (f": {done:,} of {total:,}" if total else "")
        return Look(title, done, total, [clean(line) or "waiting for a worker that trains"])
    step = told.get("step") or told.get("training") or newest
    done, total = step.get("step") or 0, step.get("total") or 0
    parts = [f"step {done:,} of {total:,}"]
    if "loss" in step:
        parts.append(f"loss {step['loss']:.3f}")
    if "eval_loss" in told:
        parts.append(f"loss on held-out rows {told['eval_loss']['loss']:.3f}")
    if "tokens_per_s" in step:
        parts.append(f"{number(step['tokens_per_s'])} tokens/s, about {duration(step.get('eta_s'))} left")
    return Look(title, done, total, [", ".join(parts), *_used(step)])


def _used(step: dict[str, Any]) -> list[str]:
    """Return what the trainer says it uses of its machine."""
    if "rss_bytes" not in step:
        return []
    line = f"{size(step['rss_bytes'])} of memory, {step['cpu_percent'] / 100:.1f} cores"
    if "gpu_bytes" in step:
        busy = f" at {step['gpu_percent']} %" if "gpu_percent" in step else ""
        line += f", GPU {size(step['gpu_bytes'])} of {size(step['gpu_bytes_max'])}{busy}"
    return [line]


class _Waiting:
    """Says what a batch waits for; asks each teacher once how it is, not with every look."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._reasons: set[str] = set()
        self._pending = -1
        self._lines: list[str] = []

    def __call__(self, batch: "BatchOut") -> list[str]:
        moved = batch.counts.pending != self._pending
        # A shard does not wait while a worker looks whether its teacher is back; that is no news yet.
        if batch.waiting.keys() != self._reasons and (batch.waiting or moved):
            self._reasons = set(batch.waiting)
            self._lines = waiting_lines(self._terminal, batch)
        self._pending = batch.counts.pending
        return self._lines


def waiting_lines(terminal: Terminal, batch: "BatchOut") -> list[str]:
    """Return what a batch waits for, and what to do about it."""
    lines: list[str] = []
    for reason, shards in batch.waiting.items():
        down = _teachers_down(terminal, batch.teachers) if reason == "teacher_down" else []
        lines.extend(down or [f"{shards:,} shard{'s' if shards != 1 else ''} waiting: {reason}"])
    return lines


def _teachers_down(terminal: Terminal, teachers: list[str]) -> list[str]:
    found = [terminal.client.probe(name) for name in teachers]
    return [
        f"waiting for teacher {probe.name}: {probe.reason.replace('_', ' ')}. "
        "Start it with `retort teacher serve`; the work goes on by itself"
        for probe in found
        if not probe.ok
    ]
