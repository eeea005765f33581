"""How often each verifier errs on the labelled set, as a table for `docs/verifiers.md`.

python -m bench.verifiers            # print what the set gives now
python -m bench.verifiers --write    # … and publish it
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filters.statistics import wilson
from filters.verdict import Outcome, Verdict
from filters.verifiers.pool import Pool

ROOT = Path(__file__).parents[1]
LABELLED = ROOT / "examples/verifiers/labelled.jsonl"
PUBLISHED = ROOT / "docs/verifiers.md"
TIMEOUT_S = 60.0
"""Far beyond what any line takes: the table must not depend on how busy the machine is."""
WORDS = {
    "math": "the answer equals the reference as mathematics",
    "number": "one number, its unit converted, within the reference's tolerance",
    "exact": "the same words; case, spacing, bold and a closing stop do not count",
    "choice": "the letter, A to J, that the response settles on",
    "regex": "the reference, a pattern, is found (RE2: no look-around, no back-references)",
    "json_schema": "the response's JSON fits the reference, a JSON schema",
    "code": "the program passes the reference, its unit tests, in a sandbox",
}
HEAD = """# How often verifiers err

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


@dataclass(frozen=True, slots=True)
class Line:
    """One labelled response."""

    verifier: str
    response: str
    reference: str
    right: bool
    why: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A line and what its verifier says of it."""

    line: Line
    verdict: Verdict

    @property
    def errs(self) -> bool:
        """Whether the verdict is the opposite of the label."""
        return self.verdict.outcome == (Outcome.REJECT if self.line.right else Outcome.KEEP)


def labelled(path: Path = LABELLED) -> list[Line]:
    """Read the labelled set."""
    return [Line(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def judged(lines: Sequence[Line]) -> list[Judged]:
    """Judge every line in killable processes, as curation does."""
    with Pool(timeout_s=TIMEOUT_S) as pool:
        verdicts = pool.verify_many((line.verifier, line.response, line.reference) for line in lines)
        return [Judged(line, verdict) for line, verdict in zip(lines, verdicts, strict=True)]


def page(found: Sequence[Judged]) -> str:
    """Return the page: one row a verifier, then every error."""
    rows = [
        "| verifier | keeps a response where | right | wrong | false accepts | false rejects | abstained |",
        "|---|---|---|---|---|---|---|",
        *(_row(name, [each for each in found if each.line.verifier == name]) for name in _names(found)),
    ]
    errors = [
        "## Where they err",
        "",
        "| verifier | response | reference | should be | verdict | why |",
        "|---|---|---|---|---|---|",
        *(_error(each) for each in found if each.errs or each.verdict.outcome is Outcome.ABSTAIN),
    ]
    return "\n".join([HEAD.format(path=LABELLED.relative_to(ROOT)), *rows, "", *errors, ""])


def _names(found: Sequence[Judged]) -> list[str]:
    there = {each.line.verifier for each in found}
    return [*(name for name in WORDS if name in there), *sorted(there - set(WORDS))]


def _row(name: str, found: Sequence[Judged]) -> str:
    right, wrong = ([each for each in found if each.line.right is is_right] for is_right in (True, False))
    abstained = sum(each.verdict.outcome is Outcome.ABSTAIN for each in found)
    cells = (name, WORDS.get(name, ""), len(right), len(wrong), _share(wrong), _share(right), abstained)
    return f"| {' | '.join(map(str, cells))} |"


def _share(found: Sequence[Judged]) -> str:
    errors, n = sum(each.errs for each in found), len(found)
    low, high = wilson(errors, n)
    return f"{errors}: {100 * errors / max(n, 1):.1f} ({100 * low:.1f}-{100 * high:.1f})"


def _error(each: Judged) -> str:
    line, verdict = each.line, each.verdict
    said = f"{verdict.outcome.value}{f' ({verdict.reason})' if verdict.reason else ''}"
    cells = (
        line.verifier,
        _code(line.response),
        _code(line.reference),
        "keep" if line.right else "reject",
        said,
        line.why,
    )
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    flat = " ".join(text.split()).replace("|", "\\|").replace("`", "'")
    return f"`{flat if len(flat) <= 80 else flat[:79] + '…'}`"


def main() -> None:
    """Print the page; with `--write` publish it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {PUBLISHED.relative_to(ROOT)}")
    options = parser.parse_args()
    text = page(judged(labelled()))
    print(text)
    if options.write:
        PUBLISHED.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
