"""How batches, dataset versions and runs look: in a list, and one by one."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from service.cli.following import ENDED, look_of_run, waiting_lines
from service.cli.terminal import Terminal
from service.cli.words import UNKNOWN, age, clean, counted, duration, number, percent

if TYPE_CHECKING:
    from filters.manifest import FilterCount
    from service.api.shapes.batches import BatchOut
    from service.api.shapes.datasets import VersionOut
    from service.api.shapes.runs import RunOut

UNGRADABLE_SHOWN_MAX = 5
BATCH_COLUMNS = ("batch", "state", "~teachers", "#done", "#failed", "#age")
VERSION_COLUMNS = ("dataset", "state", "#kept", "#of", "use", "licence", "#age")
RUN_COLUMNS = ("run", "state", "method", "dataset", "~student", "#age")


def batch_row(batch: "BatchOut") -> tuple[Any, ...]:
    """Return its line in a list."""
    counts = batch.counts
    done = f"{counts.stored:,}/{counts.total:,}"
    return batch.id, batch.state, ", ".join(batch.teachers), done, f"{counts.failed:,}", age(batch.created_at)


def version_row(version: "VersionOut") -> tuple[Any, ...]:
    """Return its line in a list."""
    licence = version.licence.decision if version.licence and version.kept else UNKNOWN
    label = f"{version.dataset}@{version.number}"
    kept = (number(version.kept), number(version.input)) if version.state == "sealed" else (UNKNOWN, UNKNOWN)
    return label, version.state, *kept, version.intended_use, licence, age(version.created_at)


def run_row(run: "RunOut") -> tuple[Any, ...]:
    """Return its line in a list."""
    return run.id, run.state, run.method, _learnt_from(run), clean(run.student), age(run.created_at)


def wanted(batch: "BatchOut") -> str:
    """Return how many answers a batch asks for."""
    if batch.accept_k is None:
        return f"n={batch.n}"
    budget = f" or {batch.token_budget:,} tokens" if batch.token_budget else ""
    return f"until {batch.accept_k} are right, at most {batch.n} tries{budget}"


def view_batch(batch: "BatchOut") -> Callable[[Terminal], None]:
    """Return what a person is told of one batch."""

    def view(terminal: Terminal) -> None:
        counts = batch.counts
        asked = ", ".join([wanted(batch), *(f"{name}={value}" for name, value in batch.sampling.items())])
        terminal.say(f"{batch.id} {batch.state}", style="bold")
        if how := batch.rewrite:
            terminal.say(
                f"  rewritten, {how['kind'].replace('_', ' ')}: traces of {how['version'] or how['batches'][0]}"
            )
        terminal.say(
            f"  {batch.prompts:,} prompts to {', '.join(batch.teachers)} ({asked}), {age(batch.created_at)} ago",
            f"  {counts.stored:,} stored, {counts.failed:,} failed, {counts.cancelled:,} cancelled, "
            f"{counts.pending:,} pending of {counts.total:,} answers",
        )
        if batch.reasons:
            terminal.say(f"  failed: {counted(batch.reasons)}")
        if batch.completion_tokens:
            terminal.say(
                f"  {batch.prompt_tokens:,} prompt and {batch.completion_tokens:,} completion tokens"
                f" ({number(batch.tokens_per_s)}/s)"
            )
        for name, use in batch.use.items():
            if use.gpu_hours is not None:
                cost = f", {use.cost:,.2f} or {use.cost_per_million_tokens:,.2f} a million tokens" if use.cost else ""
                terminal.say(f"  {name}: {use.gpu_hours:,.3f} GPU-hours{cost}")
        terminal.say(*(f"  {line}" for line in ungradable_lines(batch)), style="yellow")
        if batch.reasoning_lost:
            terminal.say(
                f"  {batch.reasoning_lost:,} answers lost their reasoning: the teacher counted reasoning tokens and "
                "sent none of it; is its --reasoning-parser set?",
                style="yellow",
            )
        if batch.soft_labels:
            from service.cli.soft_labels import lines_of

            terminal.say(*(f"  soft labels: {line}" for line in lines_of(batch.soft_labels)))
        if counts.pending and batch.eta_s:
            terminal.say(f"  about {duration(batch.eta_s)} left")
        terminal.say(*(f"  {line}" for line in waiting_lines(terminal, batch)), style="yellow")
        _why(terminal, batch.reason, batch.detail)

    return view


def ungradable_lines(batch: "BatchOut") -> list[str]:
    """Return how many references cannot be graded, and the first of them."""
    if not batch.ungradable:
        return []
    shown = batch.ungradable_first[:UNGRADABLE_SHOWN_MAX]
    more = batch.ungradable - len(shown)
    return [
        f"{batch.ungradable:,} of {batch.prompts:,} references cannot be graded; their answers would be neither right "
        "nor wrong (--ungradable refuse asks nothing of such a file)",
        *(
            f"  line {each.line} ({clean(each.id)}): {each.verifier} cannot grade '{clean(each.reference)}'"
            for each in shown
        ),
        *([f"  … and {more:,} more"] if more else []),
    ]


def view_version(version: "VersionOut") -> Callable[[Terminal], None]:
    """Return what a person is told of one dataset version: the funnel, the splits, the licence answer."""

    def view(terminal: Terminal) -> None:
        terminal.say(f"{version.dataset}@{version.number} {version.state}", style="bold")
        _why(terminal, version.reason, version.detail)
        if version.state != "sealed":
            return
        funnel(terminal, version.funnel)
        share = percent(version.kept / version.input if version.input else None)
        terminal.say(f"kept {version.kept:,} of {version.input:,} ({share})" + _splits(version.splits))
        if not version.kept:
            return  # nothing to take along, and nothing that a licence could cover
        terminal.say(f"sha256 {version.sha256}")
        if near := version.near_prompts:
            terminal.say(near.in_words(), style="yellow" if near.apart else "dim")
        if version.licence:
            licence_answer(terminal, version.licence.model_dump(), version.intended_use)

    return view


def _learnt_from(run: "RunOut") -> str:
    return f"{run.dataset}@{run.version}" if run.version else run.dataset


def view_run(run: "RunOut") -> Callable[[Terminal], None]:
    """Return what a person is told of one run."""

    def view(terminal: Terminal) -> None:
        terminal.say(f"{run.id} {run.state}", style="bold")
        terminal.say(
            f"  {run.method} of {clean(run.student)} on {_learnt_from(run)}, ordered {age(run.created_at)} ago"
        )
        if run.state not in ENDED:
            terminal.say(
                *(
                    f"  {line}"
                    for line in look_of_run(run, {str((run.progress or {}).get("event")): run.progress or {}}).lines
                )
            )
        if run.state == "succeeded":
            terminal.say(f"  what it learned: `retort report {run.id}`")
        _why(terminal, run.reason, run.detail)

    return view


def funnel(terminal: Terminal, counts: "list[FilterCount]") -> None:
    """Print what each filter was given, kept, rejected and could not judge, with the reasons under it."""
    columns = ("filter", "#in", "#kept", "#rejected", "#abstained")
    rows: list[tuple[str, ...]] = []
    for count in counts:
        rows.append((count.kind, *(f"{n:,}" for n in (count.input, count.kept, count.rejected, count.abstained))))
        rows.extend((f"  {n:,} {reason}", "", "", "", "") for reason, n in _largest(count.reasons))
        rows.extend((f"  {n:,} {reason}", "", "", "", "") for reason, n in _largest(count.notes))
    terminal.table(columns, rows)


def licence_answer(terminal: Terminal, answer: dict[str, Any], use: str) -> None:
    """Print what may be done, which duties follow, and which clauses say so."""
    words = str(answer.get("decision", "unknown")).replace("_", " ")
    style = {"allowed": "green", "allowed with duties": "green", "forbidden": "red"}.get(words, "yellow")
    terminal.say(f"licence: {words} for {use} use", style=style)
    terminal.say(*(f"  duty: {clean(str(duty))}" for duty in answer.get("duties") or []))
    terminal.say(*(f"  because: {clean(_clause(clause))}" for clause in answer.get("clauses") or []))
    for override in answer.get("overrides") or []:
        terminal.say(f"  overridden: {clean(', '.join(f'{name} {value}' for name, value in override.items()))}")


def _clause(clause: Any) -> str:
    if not isinstance(clause, dict):
        return str(clause)
    said = f"{clause.get('role', '')} {clause.get('licence', '')}: {clause.get('clause', '')}".strip()
    return f"{said} ({clause['source']})" if clause.get("source") else said


def _largest(reasons: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(reasons.items(), key=lambda item: (-item[1], item[0]))


def _splits(splits: dict[str, Any]) -> str:
    return ": " + ", ".join(f"{name} {_rows(part):,}" for name, part in splits.items()) if splits else ""


def _rows(part: Any) -> int:
    return int(part.get("rows", 0)) if isinstance(part, dict) else int(part)


def _why(terminal: Terminal, reason: str, detail: str) -> None:
    if reason or detail:
        terminal.say(f"  {clean(': '.join(part for part in (reason, detail) if part))}", style="red")
