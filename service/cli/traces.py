"""`retort traces` and `retort trace`: what the teachers answered."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.terminal import Json, Terminal, begin
from service.cli.words import UNKNOWN, clean, number, one_line

if TYPE_CHECKING:
    from service.api.shapes.traces import Origin, ReviewOut, TraceDetail, TraceOut, WhyOut

PAGE = 500
SHOWN, EVIDENCE_SHOWN = 28, 100


def list_traces(
    ctx: typer.Context,
    batch: Annotated[str | None, typer.Option(help="Of this batch.")] = None,
    teacher: Annotated[str | None, typer.Option(help="Of this teacher.")] = None,
    category: Annotated[str | None, typer.Option(help="Of this category.")] = None,
    outcome: Annotated[str | None, typer.Option(help="Judged so: keep, reject.")] = None,
    reason: Annotated[str | None, typer.Option(help="Judged for this reason.")] = None,
    version: Annotated[str | None, typer.Option(help="Judged in this version, NAME@N; else in the newest.")] = None,
    q: Annotated[str | None, typer.Option("-q", "--q", help='With these words, "phrases" and no -others.')] = None,
    tag: Annotated[str | None, typer.Option(help="That a person tagged so.")] = None,
    limit: Annotated[int, typer.Option(help="Most traces to show.", min=1)] = 50,
    json: Json = False,
) -> None:
    """List traces; `retort trace ID` shows one in full."""
    terminal = begin(ctx, json)
    wanted = {"batch": batch, "teacher": teacher, "category": category, "outcome": outcome, "reason": reason}
    query: dict[str, Any] = {**wanted, "version": version, "q": q, "tag": tag, "limit": min(limit, PAGE)}
    found = list(islice(terminal.client.each_trace(**query), limit))

    def view(terminal: Terminal) -> None:
        terminal.table(("#id", "category", "verdict", "#tokens", "~prompt", "~response"), map(_row, found))
        if len(found) == limit:
            terminal.note(f"the first {limit:,}; --limit shows more")

    terminal.show(found, view)


def trace(ctx: typer.Context, trace: Annotated[int, typer.Argument(help="Its id.")], json: Json = False) -> None:
    """Show one trace: prompt, reasoning, response, and every verdict on it."""
    terminal = begin(ctx, json)
    found = terminal.client.trace(trace)
    terminal.show(found, lambda terminal: _view(terminal, found))


def why(
    ctx: typer.Context,
    trace: Annotated[int, typer.Argument(help="Its id.")],
    version: Annotated[str | None, typer.Option(help="NAME@N; else the newest that judged it.")] = None,
    json: Json = False,
) -> None:
    """Say why a trace is in a dataset version or is not, filter by filter."""
    terminal = begin(ctx, json)
    found = terminal.client.why(trace, version)
    terminal.show(found, lambda terminal: _view_why(terminal, found))


def _view_why(terminal: Terminal, found: "WhyOut") -> None:
    by = f" by {found.decided_by}" if found.decided_by else ""
    kept = found.outcome == "keep"
    where = f"kept{by}, in the {found.split} split" if kept else f"rejected{by}: {found.reason}"
    terminal.say(f"trace {found.trace} in {found.version}: {where}", style="bold")
    if found.decided_by == "person":
        terminal.say(f"  {clean(found.detail)}")
    for place, step in enumerate(found.steps, 1):
        why = ": ".join(part for part in (step.reason, step.detail) if part)
        line = f"  {place:2} {step.filter:15} {step.outcome.replace('_', ' '):12} {clean(why)}".rstrip()
        terminal.say(line, style=None if why else "dim")
        for name, value in (step.evidence or {}).items():
            terminal.say(f"      {name}: {one_line(str(value), EVIDENCE_SHOWN)}")
    terminal.say("where it is from", style="bold")
    _view_origin(terminal, found.origin)


def _view_origin(terminal: Terminal, origin: "Origin") -> None:
    teacher = ", ".join(part for part in (origin.model, origin.revision and f"revision {origin.revision}") if part)
    sampling = ", ".join(f"{name} {value}" for name, value in origin.sampling.items())
    kind = origin.rewrite["kind"] if origin.rewrite else ""
    read = f"row {origin.row}" if origin.file or origin.sha256 else ""
    imported = origin.imported or {}
    facts = {
        "prompt": f"{origin.prompt}, {read} of {origin.file or 'a file without a name'}" if read else origin.prompt,
        "sha256": origin.sha256,
        "source": ", ".join(part for part in (origin.source, origin.license) if part),
        "batch": f"{origin.batch}, {origin.made}{f' ({kind})' if kind else ''}",
        "teacher": f"{origin.teacher} ({teacher}), licence {origin.teacher_license or 'unknown'}",
        "answer": f"{origin.sample_index}{f' at {sampling}' if sampling else ''}",
        "imported": f"{imported.get('format')}, row {imported.get('row')} of {imported.get('file')}"
        if imported
        else "",
    }
    terminal.say(*(f"  {name:8} {clean(value)}" for name, value in facts.items() if value))
    if origin.parent:
        terminal.say(f"  rewritten from trace {origin.parent.trace}:")
        _view_origin(terminal, origin.parent)


def _row(trace: "TraceOut") -> tuple[str, ...]:
    verdict = trace.reason or trace.outcome or UNKNOWN
    prompt = one_line(_text(trace.messages[-1]), SHOWN) if trace.messages else ""
    texts = (prompt, one_line(trace.response, SHOWN))
    return str(trace.id), one_line(trace.category, 14), verdict, number(trace.completion_tokens), *texts


def _text(message: dict[str, Any]) -> str:
    return str(message.get("content") or "")


def _view(terminal: Terminal, trace: "TraceDetail") -> None:
    terminal.say(
        f"trace {trace.id}: answer {trace.sample_index} of {trace.teacher} to prompt {trace.key}", style="bold"
    )
    by = f" by {trace.rewriter}" if trace.rewriter else ""
    facts = {
        "batch": trace.batch,
        "rewritten": f"from trace {trace.parent_id}{by}" if trace.parent_id else None,
        "category": trace.category,
        "finish": trace.finish_reason,
        "tokens": f"{number(trace.completion_tokens)} ({number(trace.reasoning_tokens)} of reasoning)",
        "reference": trace.reference,
    }
    terminal.say(*(f"  {name} {clean(str(value))}" for name, value in facts.items() if value))
    for message in trace.messages:
        _block(terminal, str(message.get("role", "prompt")), _text(message))
    _block(terminal, "reasoning", trace.reasoning)
    _block(terminal, "response", trace.response)
    for verdict in trace.verdicts:
        by = f" by {verdict.filter} {verdict.filter_version or ''}".rstrip() if verdict.filter else ""
        why = ": ".join(part for part in (verdict.reason, verdict.detail) if part)
        terminal.say(clean(f"{verdict.version} {verdict.outcome}{by}{': ' if why else ''}{why}"))
    for review in trace.reviews:
        terminal.say(clean(f"{review.author} {_said(review)}{': ' if review.reason else ''}{review.reason}"))


def _said(review: "ReviewOut") -> str:
    if review.withdraws is not None:
        return "took the last thing said back"
    return f"says {' '.join([review.outcome, *(f'#{tag}' for tag in review.tags)]).strip() or 'nothing'}"


def _block(terminal: Terminal, title: str, text: str) -> None:
    if text:
        terminal.say(f"── {clean(title)} " + "─" * max(3, 40 - len(title)), style="dim")
        terminal.say(clean(text))
