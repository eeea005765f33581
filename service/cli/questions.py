"""`retort questions`: documents become passages, passages questions, and questions the prompts of a next batch."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from service.cli.batches import Follow, ended, send_file
from service.cli.following import ENDED
from service.cli.terminal import FAILED, Json, Refused, Terminal, begin
from service.cli.words import counted


def write(
    ctx: typer.Context,
    documents: Annotated[
        list[Path], typer.Argument(help=".txt, .md; .jsonl, .parquet with text, id, license, source; or folders.")
    ],
    teacher: Annotated[list[str] | None, typer.Option(help="Who writes; may be given more than once.")] = None,
    per_passage: Annotated[int, typer.Option(help="Questions asked for each passage.", min=1, max=64)] = 1,
    passage_words: Annotated[int, typer.Option(help="Longest passage, in words.", min=20, max=20_000)] = 200,
    limit: Annotated[int | None, typer.Option(help="Passages to draw; else all of them.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of what is drawn, and of the teacher's sampling.", min=0)] = 0,
    answers: Annotated[
        bool, typer.Option("--answers", help="Have the answer written too; it becomes the reference.")
    ] = (False),
    license: Annotated[str, typer.Option(help="Of documents that do not name theirs.")] = "",
    category: Annotated[str, typer.Option(help="Of the questions, for reports.")] = "",
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN:FIELD", help="What a column stands for, as content:text."),
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="Left to the teacher when not given.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longest reply, reasoning included.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the prompts here instead of submitting them.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Ask anew what was submitted before.")] = False,
    follow: Follow = False,
    json: Json = False,
) -> None:
    """Ask teachers for questions that passages of documents answer; `collect` makes prompts of them.

    Passages are cut at paragraphs, the same ones each time; every prompt notes document, characters, sha256 and seed.
    """
    terminal = begin(ctx, json)
    if (teacher is None) == (out is None):
        raise Refused("give either --teacher, who is asked, or --out, where the prompts are written")
    options = {"words_max": passage_words, "limit": limit, "seed": seed, "license": license, "columns": columns or ()}
    with ExitStack() as stack:
        path = out or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "questions.jsonl"
        with whole_file(path) as file:
            passages = _write(file, documents, per_passage, {"answers": answers, "category": category}, **options)
            if not passages:
                raise Refused("the documents hold no passage that is long enough")
        if not license and not terminal.json:
            terminal.note("documents that name no licence stay unknown, and that blocks an export; --license names one")
        if out:
            made = {"passages": passages, "prompts": passages * per_passage, "out": str(out)}
            terminal.show(made, lambda terminal: terminal.say(f"{passages * per_passage:,} prompts written to {out}"))
            return
        sampling = {"temperature": temperature, "max_tokens": max_tokens, "seed": seed}
        title = f"{passages:,} passages"
        batch = send_file(terminal, path, teacher or [], again=again, title=title, sampling=sampling)
    if not follow and not terminal.json:
        terminal.note(f"then `retort questions collect {batch.id} --out prompts.jsonl`")
    ended(terminal, batch, follow)


def collect(
    ctx: typer.Context,
    batch: Annotated[str, typer.Argument(help="What `retort questions write` submitted.")],
    out: Annotated[Path, typer.Option(help="Where the prompts go, JSONL.")],
    rejected: Annotated[Path | None, typer.Option(help="Where the unusable replies go, with their reasons.")] = None,
    json: Json = False,
) -> None:
    """Write the questions of a batch as prompts that can be submitted, each with the passage and trace it is from.

    Equal questions are kept once. What is no usable question is counted by its reason.
    """
    import orjson

    terminal = begin(ctx, json)
    state = terminal.client.batch(batch)
    if state.state not in ENDED and not terminal.json:
        terminal.note(f"{batch} is {state.state}: {state.counts.pending:,} replies are still to come")
    dropped: Counter[str] = Counter()
    kept = 0
    with ExitStack() as stack:
        prompts = stack.enter_context(whole_file(out))
        unusable = stack.enter_context(whole_file(rejected)) if rejected else None
        for row in terminal.client.questions(batch, "all"):
            reason = row.get("reason")
            dropped.update([reason] if reason else [])
            kept += not reason
            target = unusable if reason else prompts
            if target:
                target.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    told = {"kept": kept, "dropped": dict(dropped), "out": str(out)}
    terminal.show(told, lambda terminal: _view(terminal, kept, dropped, out))
    if not kept:
        raise typer.Exit(FAILED)


def _view(terminal: Terminal, kept: int, dropped: Counter[str], out: Path) -> None:
    terminal.say(f"{kept:,} questions written to {out}")
    if dropped:
        terminal.say(f"{dropped.total():,} replies dropped: {counted(dropped)}")


def _write(
    file: BinaryIO,
    documents: list[Path],
    per_passage: int,
    asked: dict[str, Any],
    *,
    words_max: int,
    limit: int | None,
    seed: int,
    **reading: Any,
) -> int:
    """Write the prompts of all passages; return how many passages there are."""
    import orjson

    from service import questions
    from service.documents import BadDocument, chosen, files, passages, read

    count = 0
    try:
        texts = (document for path, name in files(documents) for document in read(path, name, **reading))
        cut = (passage for document in texts for passage in passages(document, words_max))
        for passage in chosen(cut, limit, seed):
            count += 1
            for number in range(per_passage):
                row = questions.ask(passage, number, seed=seed, **asked)
                file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    except BadDocument as error:
        raise Refused(str(error)) from error
    except OSError as error:
        raise Refused(f"cannot read {error.filename}: {error.strerror}", FAILED) from error
    return count


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that takes its place only when the block ended well."""
    partial = path.with_name(f".{path.name}.part")
    try:
        with partial.open("wb") as file:
            yield file
        os.replace(partial, path)
    except OSError as error:
        raise Refused(f"cannot write {path}: {error.strerror}", FAILED) from error
    finally:
        partial.unlink(missing_ok=True)
