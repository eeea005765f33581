"""How often verifiers and filters err on the labelled sets, as tables for `docs/verifiers.md` and `docs/filters.md`.

python -m bench.verifiers            # print what the sets give now
python -m bench.verifiers --write    # … and publish it
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import votes
from filters.recipe import Recipe
from filters.sample import Sample
from filters.statistics import wilson
from filters.verdict import Outcome, Verdict
from filters.verifiers.pool import Pool

ROOT = Path(__file__).parents[1]
TIMEOUT_S = 60.0
"""Far beyond what any line takes: the table must not depend on how busy the machine is."""
VERIFIERS_HEAD = """# How often verifiers err

`{path}` holds responses as teachers write them, each labelled by hand: is it right, and why. `python -m
bench.verifiers --write` judges them all and writes this page; a test fails when it is not what the set gives. Errors
are listed, for an interval says how many to expect, not which. The set is made of spellings and mistakes that are hard
to judge, and the verifiers were mended by it: elsewhere they do better where responses are plainer, and worse where
they are strange in a new way.

- *false accept*: a wrong response is kept, and teaches the student a wrong answer.
- *false reject*: a right response is rejected, and the dataset gets smaller.
- *abstained*: no verdict; the recipe's `on_abstain` decides.

Shares in %, with their 95 % interval (Wilson).
"""
FILTERS_HEAD = """# How often filters err

`{path}` holds traces, each labelled by hand: should it be kept, and why. `python -m bench.verifiers
--write` judges them all and writes this page; a test fails when it is not what the set gives. The lines were written
before any was judged, on both sides of each boundary and close to it, some of them beyond what a filter claims to find.
Then the filters were mended where they erred without need, so that the shares below are no forecast: elsewhere a filter
does better where traces are plainer, and worse where they are strange in a new way. All knobs stand at their defaults,
where the line says nothing else.

- *false keep*: a trace is kept that should not be.
- *false reject*: a good trace is rejected, and the dataset gets smaller.
- *abstained*: no verdict; the recipe's `on_abstain` decides.

Shares in %, with their 95 % interval (Wilson). Before they were mended the same lines gave, false keeps and false
rejects: refusal 8 of 31 and 6 of 23, language 0 and 1 of 26, pii 6 of 30 and 2 of 26, format 7 of 28 and 3 of 24,
consistency 6 of 22 and 5 of 31, repetition 1 of 18 and 0, code_licence 16 of 34 and 7 of 27. Those say more about
traces that nobody has seen. (Whoever wrote the lines knew the filters' rules; one fault, steps at the start of a line,
was known and mended before.)

`judged` errs as its judge does: measure yours with `python -m bench.judges TEACHER`. No figure is published: no model
that can judge runs where this page is made.
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One labelled response or trace."""

    name: str
    """Of the verifier or filter that judges it."""
    response: str
    right: bool
    why: str
    reference: str = ""
    prompt: str = ""
    reasoning: str = ""
    knobs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """A line and what is said of it."""

    line: Line
    verdict: Verdict

    @property
    def errs(self) -> bool:
        """Whether the verdict is the opposite of the label."""
        return self.verdict.outcome == (Outcome.REJECT if self.line.right else Outcome.KEEP)


def verified(lines: Sequence[Line]) -> Iterable[Verdict]:
    """Judge every line in killable processes, as curation does."""
    with Pool(timeout_s=TIMEOUT_S) as pool:
        yield from pool.verify_many((line.name, line.response, line.reference) for line in lines)


def filtered(lines: Sequence[Line]) -> Iterable[Verdict]:
    """Judge every line by its filter, with its knobs."""
    for number, line in enumerate(lines):
        (filter_,) = Recipe.parse({"filters": [{"kind": line.name, **line.knobs}]}).filters
        messages = [{"role": "user", "content": line.prompt}]
        yield filter_.check(Sample(number, number, messages, line.response, line.reasoning))


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """Labelled lines, how they are judged, and the page that says how well."""

    what: str
    """As lines name it: `verifier` or `filter`."""
    label: str
    """… and its label: `right` or `good`."""
    path: Path
    published: Path
    judge: Callable[[Sequence[Line]], Iterable[Verdict]]
    head: str
    columns: str
    words: dict[str, str]
    """What each verifier or filter keeps."""
    more: Callable[[], str] = str
    """What else the page says."""

    def lines(self) -> list[Line]:
        """Read the set."""
        return [self._line(json.loads(line)) for line in self.path.read_text(encoding="utf-8").splitlines()]

    def _line(self, given: dict[str, Any]) -> Line:
        return Line(name=given.pop(self.what), right=given.pop(self.label), **given)

    def judged(self) -> list[Judged]:
        """Judge every line."""
        lines = self.lines()
        return [Judged(line, verdict) for line, verdict in zip(lines, self.judge(lines), strict=True)]

    def page(self) -> str:
        """Return the page: one row a verifier or filter, then every error."""
        found = self.judged()
        rows = [
            f"| {self.what} | {self.columns} | false rejects | abstained |",
            "|---|---|---|---|---|---|---|",
            *(self._row(name, [each for each in found if each.line.name == name]) for name in self.words),
        ]
        errors = [
            "## Where they err",
            "",
            f"| {self.what} | response | {_BESIDE[self.what]} | should be | verdict | why |",
            "|---|---|---|---|---|---|",
            *(_error(each) for each in found if each.errs or each.verdict.outcome is Outcome.ABSTAIN),
        ]
        head, more = self.head.format(path=self.path.relative_to(ROOT)), self.more()
        return "\n".join([head, *rows, "", *([more] if more else []), *errors, ""])

    def _row(self, name: str, found: Sequence[Judged]) -> str:
        right, wrong = ([each for each in found if each.line.right is is_right] for is_right in (True, False))
        abstained = sum(each.verdict.outcome is Outcome.ABSTAIN for each in found)
        cells = (name, self.words[name], len(right), len(wrong), _share(wrong), _share(right), abstained)
        return f"| {' | '.join(map(str, cells))} |"


VERIFIERS = LabelledSet(
    what="verifier",
    label="right",
    path=ROOT / "examples/verifiers/labelled.jsonl",
    published=ROOT / "docs/verifiers.md",
    judge=verified,
    head=VERIFIERS_HEAD,
    columns="keeps a response where | right | wrong | false accepts",
    words={
        "math": "the answer equals the reference as mathematics",
        "number": "one number, its unit converted, within the reference's tolerance",
        "exact": "the same words; case, spacing, bold and a closing stop do not count",
        "choice": "the letter, A to J, that the response settles on",
        "regex": "the reference, a pattern, is found (RE2: no look-around, no back-references)",
        "json_schema": "the response's JSON fits the reference, a JSON schema",
        "code": "the program passes the reference, its unit tests, in a sandbox",
    },
)
FILTERS = LabelledSet(
    what="filter",
    label="good",
    path=ROOT / "examples/filters/labelled.jsonl",
    published=ROOT / "docs/filters.md",
    judge=filtered,
    head=FILTERS_HEAD,
    columns="rejects | good | bad | false keeps",
    words={
        "refusal": "what begins like a refusal in ten languages, or only promises",
        "language": "another language than the prompt's, letters of another script",
        "pii": "secrets and personal data that have a form: keys, mails, phones, IBANs, cards",
        "format": "fences, formulas, boxes and think tags left open; what a knob asks for",
        "consistency": "a written step that is wrong, a response other than the reasoning's result",
        "repetition": "one piece to the end, whole lines or long phrases again and again",
        "code_licence": "code with the licence header of somebody's file, beyond the permissive ones",
    },
    more=votes.page,
)
_BESIDE = {"verifier": "reference", "filter": "prompt or reasoning"}


def _share(found: Sequence[Judged]) -> str:
    errors, n = sum(each.errs for each in found), len(found)
    low, high = wilson(errors, n)
    return f"{errors}: {100 * errors / max(n, 1):.1f} ({100 * low:.1f}-{100 * high:.1f})"


def _error(each: Judged) -> str:
    line, verdict = each.line, each.verdict
    said = f"{verdict.outcome.value}{f' ({verdict.reason})' if verdict.reason else ''}"
    cells = (
        line.name,
        _code(line.response),
        _code(line.reference or line.reasoning or line.prompt),
        "keep" if line.right else "reject",
        said,
        line.why,
    )
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    flat = " ".join(text.split()).replace("|", "\\|").replace("`", "'")
    return f"`{flat if len(flat) <= 80 else flat[:79] + '…'}`" if flat else ""


def main() -> None:
    """Print the pages; with `--write` publish them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write docs/verifiers.md and docs/filters.md")
    options = parser.parse_args()
    for labelled in (VERIFIERS, FILTERS):
        text = labelled.page()
        print(text)
        if options.write:
            labelled.published.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
