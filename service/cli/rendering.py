"""What came of a rendering, for a person: how the rows look to the student, what is wrong, and what to do about it."""

from typing import Any

from service.cli.terminal import Terminal
from service.cli.words import clean, one_line

EXAMPLES_SHOWN = 5
EXPORTED = "reasoning_content"
"""The name under which a version's folder holds reasoning, and most templates read it."""


def view_rendering(terminal: Terminal, report: dict[str, Any], path: str) -> None:
    """Print tables and advice; `path` is where the unfit rows are."""
    splits: dict[str, dict[str, Any]] = report["splits"]
    limit = f"at most {report['max_length']:,} tokens a row" if report["max_length"] else "no limit to a row's tokens"
    student = one_line(report["student"], 60)
    terminal.say(f"{report['dataset']}@{report['version']} as {student} reads it, {limit}", style="bold")
    terminal.table(
        ("split", "#rows", "#fit", "#tokens p50", "#p95", "#max", "#in the loss p50", "#p95", "#max"),
        [
            (name, f"{split['rows']:,}", f"{split['fit']:,}", *_lengths(split["tokens"], split["reply_tokens"]))
            for name, split in splits.items()
        ],
    )
    terminal.say("")
    terminal.table(
        ("split", "#reasoning kept", "#lost", "#left out", "#none", "#empty mask", "#cut", "#no stop token"),
        [
            (
                name,
                *(f"{split['reasoning'][fate]:,}" for fate in ("kept", "lost", "left_out", "none")),
                *(f"{split['problems'].get(name, 0):,}" for name in ("empty_loss", "would_be_cut", "no_stop_token")),
            )
            for name, split in splits.items()
        ],
    )
    _view_problems(terminal, report, path)
    terminal.say(*_remarks(report), style="dim")


def _lengths(*lengths: dict[str, int]) -> list[str]:
    return [f"{length[name]:,}" for length in lengths for name in ("p50", "p95", "max")]


def _view_problems(terminal: Terminal, report: dict[str, Any], path: str) -> None:
    terminal.say("")
    if report["fit"]:
        terminal.say("every row can be trained on")
        return
    for name, problem in report["problems"].items():
        rows = sum(split["problems"].get(name, 0) for split in report["splits"].values())
        terminal.say(f"{name}: {rows:,} row{'' if rows == 1 else 's'}", style="bold")
        terminal.say(f"  what: {clean(problem['meaning'])}", f"  do:   {clean(problem['remedy'])}")
    for example in report["examples"][:EXAMPLES_SHOWN]:
        terminal.say(f"  row {example['id']} ({example['split']}) {example['reason']}: {clean(example['detail'])}")
    if path:
        terminal.say(f"all of them, with their reasons: {path}")


def _remarks(report: dict[str, Any]) -> list[str]:
    """Return what somebody should know who trains on the folder with TRL itself."""
    lines = []
    over = sum(split["over_trl_default"] for split in report["splits"].values())
    if over:
        lines.append(f"plain `trl sft` would cut {over:,} rows: its max_length is 1,024 unless told otherwise")
    if report["reasoning_key"] not in (None, EXPORTED):
        lines.append(
            f"plain `trl sft` would lose the reasoning: this student reads it from `{report['reasoning_key']}`, the "
            f"folder has `{EXPORTED}`; `retort train` translates"
        )
    return lines
