"""How often a judge errs: what the filter `judged` says through a model of yours, beside labels.

    python -m bench.judges JUDGE                                         # a teacher registered with Retort, by its name
    python -m bench.judges http://127.0.0.1:8000/v1 --model NAME         # or whatever is served there
    python -m bench.judges JUDGE --labelled mine.jsonl --rubric "The answer is polite and right."

Without `--labelled` it judges real answers of the tiny teacher to word problems, as many right as wrong, and is not
told the right answer. Lines of a set of your own are JSON objects with `prompt`, `response`, `right` (true or false)
and, where the judge is to see one, `reference`. Each costs as many replies as `--votes` says.
"""

import argparse
import asyncio
import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bench import votes
from filters.judged import Judged, Question, Replies
from filters.sample import Sample
from filters.statistics import wilson
from filters.verdict import Outcome, Verdict
from service.errors import Problem
from service.models import Teacher
from service.probe import probe
from service.settings import Settings
from service.store import teachers
from service.store.database import Database
from workers.asked import Talk, Unavailable

RUBRIC = "The final answer that the response gives is the right answer to the prompt."
EACH = 150
"""Right and wrong ones that are judged of the set that comes with Retort."""


class Labelled(BaseModel):
    """A response and whether it is right."""

    model_config = ConfigDict(extra="forbid")

    prompt: str
    response: str
    right: bool
    reference: str | None = None


class Served:
    """An `Asker` of one teacher, many questions at once."""

    def __init__(self, teacher: Teacher, settings: Settings) -> None:
        self._teacher, self._settings = teacher, settings

    def answers(self, teacher: str, questions: Iterable[Question]) -> Iterator[Replies]:
        """Yield the replies to each question, in order, once all are there. Raises Unavailable."""
        yield from asyncio.run(self._all(list(questions)))

    async def _all(self, questions: Sequence[Question]) -> list[Replies]:
        talk = Talk(self._teacher, self._settings)
        try:
            return await asyncio.gather(*(self._ask(talk, question) for question in questions))
        finally:
            await talk.close()

    async def _ask(self, talk: Talk, question: Question) -> Replies:
        replies = await talk.ask(question)
        if sys.stderr.isatty():
            print(".", end="", file=sys.stderr, flush=True)
        return replies


def lines(file: Path) -> list[Labelled]:
    """Read a labelled set. Raises Problem, with the line and what is wrong with it."""
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            found.append(Labelled.model_validate_json(line))
        except ValidationError as error:
            said = error.errors()[0]
            where = ".".join(map(str, said["loc"])) or "the line"
            raise Problem(f"{file}, line {number}: {where}: {said['msg']}") from error
    return found


def examples(each: int) -> list[Labelled]:
    """Return so many right and so many wrong answers of the tiny teacher, drawn by chance, at most one to a prompt."""
    asked = votes.answers()
    marked = list(zip(asked, votes.right(asked), strict=True))
    chosen = random.Random(1)
    chosen.shuffle(marked)
    found: dict[bool, list[Labelled]] = {True: [], False: []}
    # Few prompts have a wrong answer: they come first.
    for one, marks in sorted(marked, key=lambda item: all(item[1])):
        wanted = False in marks and len(found[False]) < each
        right = not wanted
        if right in marks and len(found[right]) < each:
            response = chosen.choice([text for text, mark in zip(one.responses, marks, strict=True) if mark is right])
            found[right].append(Labelled(prompt=one.prompt, response=response, right=right))
    return [*found[True], *found[False]]


def judge(filter_: Judged, labelled: Sequence[Labelled]) -> list[Verdict]:
    """Return what the filter says of each line."""
    samples = (
        Sample(number, number, [{"role": "user", "content": line.prompt}], line.response, "", reference=line.reference)
        for number, line in enumerate(labelled)
    )
    return list(filter_.judge(samples))


def table(labelled: Sequence[Labelled], verdicts: Sequence[Verdict]) -> str:
    """Return false keeps and false rejects with their intervals, and what was abstained on and why."""
    found = list(zip(labelled, verdicts, strict=True))
    kept_wrong = [verdict.outcome is Outcome.KEEP for line, verdict in found if not line.right]
    lost_right = [verdict.outcome is Outcome.REJECT for line, verdict in found if line.right]
    abstained = Counter(verdict.reason for verdict in verdicts if verdict.outcome is Outcome.ABSTAIN)
    told = ", ".join(f"{count} {reason}" for reason, count in abstained.most_common())
    tokens = sum((verdict.evidence or {}).get("tokens", 0) for verdict in verdicts) / max(1, len(verdicts))
    return "\n".join(
        [
            "| right | wrong | false keeps, % | false rejects, % | abstained | tokens a response |",
            "|---|---|---|---|---|---|",
            f"| {len(lost_right)} | {len(kept_wrong)} | {_share(kept_wrong)} | {_share(lost_right)} | "
            f"{sum(abstained.values())}{f' ({told})' if told else ''} | {tokens:,.0f} |",
        ]
    )


def _share(errs: Sequence[bool]) -> str:
    low, high = wilson(sum(errs), len(errs))
    return f"{sum(errs)}: {100 * sum(errs) / max(1, len(errs)):.1f} ({100 * low:.1f}-{100 * high:.1f})"


def _teacher(given: argparse.Namespace, settings: Settings) -> Teacher:
    if "://" in given.judge:
        if not given.model:
            raise Problem("say what the server calls its model: --model NAME")
        return Teacher(name="judge", base_url=given.judge.rstrip("/"), model=given.model, api_key_env=given.api_key_env)
    database = Database(settings.url())
    database.create()
    with database.read() as session:
        return teachers.get(session, given.judge)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when the judge could be asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("judge", metavar="JUDGE", help="the name of a registered teacher, or a URL that ends in /v1")
    parser.add_argument("--model", help="what the server at the URL calls its model")
    parser.add_argument("--api-key-env", help="the environment variable that holds the key for the URL")
    parser.add_argument("--labelled", type=Path, metavar="FILE", help="a set of your own")
    parser.add_argument("--each", type=int, default=EACH, help="right and wrong ones of the set that comes with Retort")
    parser.add_argument("--rubric", default=RUBRIC)
    parser.add_argument("--votes", type=int, default=3)
    parser.add_argument("--tokens-max", type=int, default=2048)
    given = parser.parse_args(arguments)
    settings = Settings()
    try:
        teacher = _teacher(given, settings)
        if not (found := probe(teacher))["ok"]:
            raise Problem(f"the judge cannot be asked: {found['detail']}")
        labelled = lines(given.labelled) if given.labelled else examples(given.each)
        knobs: dict[str, Any] = {"rubric": given.rubric, "votes": given.votes, "tokens_max": given.tokens_max}
        filter_ = Judged(teacher=teacher.name, **knobs)
        filter_.ask_through(Served(teacher, settings))
        print(table(labelled, judge(filter_, labelled)))
    except (Problem, Unavailable, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
