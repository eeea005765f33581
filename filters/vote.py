"""Filter `vote`: where no reference says what is right, the answer that most of a prompt's responses agree on."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from filters.base import Filter
from filters.sample import Sample
from filters.verdict import KEEP, Outcome, Verdict, abstain, reject
from filters.verifiers import certain, choice
from filters.verifiers.answer import EVIDENCE_CHARS_MAX, boxed, marked
from filters.verifiers.exact import plain
from filters.verifiers.math import ANSWER_CHARS_MAX, TAIL_CHARS
from filters.verifiers.pool import Pool

SPELLINGS_MAX = 128
"""Different answers to one prompt that are compared; rarer ones, counted from there, stay by themselves."""

Compare = Literal["math", "choice", "exact"]


class Vote(Filter):
    """Reject answers that disagree with the majority of their prompt's answers; abstain where there is none.

    Answers to one prompt must stand together, as curation reads them. Samples with a reference pass: `verified` is
    their judge. One prompt's answers are in memory at a time, by their final answers alone.
    """

    alone: ClassVar[bool] = False
    version: ClassVar[int] = 2
    kind: Literal["vote"] = "vote"
    votes_min: Annotated[int, Field(ge=2)] = 3
    """Of two that agree by chance nothing follows; responses without an answer do not vote."""
    share_min: Annotated[float, Field(ge=0.5, le=1)] = 0.5
    """The majority needs more than half of all votes, and at least this share: higher is purer and keeps fewer."""
    compare: Compare = "math"
    """How answers are found and when they are the same, as the verifiers of these names do it."""
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 5.0
    """For comparing two answers as mathematics."""

    def judge(self, samples: Iterable[Sample]) -> Iterator[Verdict]:
        """Yield the verdicts of one prompt as soon as its last answer is read."""
        with Pool(timeout_s=self.timeout_s) as pool:
            for _, answers in groupby(map(self._ballot, samples), key=lambda ballot: ballot.prompt_id):
                yield from self._prompt(list(answers), pool)

    def _ballot(self, sample: Sample) -> "_Ballot":
        if sample.reference is not None and sample.reference.strip():
            return _Ballot(sample.prompt_id, None, votes=False)
        return _Ballot(sample.prompt_id, FOUND[self.compare](sample.response))

    def _prompt(self, ballots: "list[_Ballot]", pool: Pool) -> Iterator[Verdict]:
        cast = [ballot.answer for ballot in ballots if ballot.answer is not None]
        if len(cast) < self.votes_min:
            few = abstain("too_few_answers", f"{len(cast)} answers where {self.votes_min} are needed", votes=len(cast))
            yield from (few if ballot.votes else KEEP for ballot in ballots)
            return
        groups = _groups(cast, self._same(pool))
        first = max(groups, key=lambda group: group.votes)
        share = first.votes / len(cast)
        found = {"majority": first.answers[0][:EVIDENCE_CHARS_MAX], "votes": first.votes, "of": len(cast)}
        won = share > 0.5 and share >= self.share_min
        for ballot in ballots:
            if not ballot.votes:
                yield KEEP
            elif not won:
                yield abstain("no_majority", f"at most {first.votes} of {len(cast)} answers agree", **found)
            else:
                yield _verdict(ballot.answer, first, found)

    def _same(self, pool: Pool) -> "Callable[[str, str], bool | None]":
        """Return how two different spellings are compared; it says None where nobody can tell."""
        if self.compare != "math":
            return lambda one, other: False

        def same(one: str, other: str) -> bool | None:
            if (said := certain.equal(one, other)) is not None:
                return said
            verdict = pool.verify("math", rf"\boxed{{{one}}}", other)
            return None if verdict.outcome is Outcome.ABSTAIN else verdict.outcome is Outcome.KEEP

        return same


@dataclass(frozen=True, slots=True)
class _Ballot:
    """What one sample says, None for nothing; `votes` is False for one that is not ours to judge."""

    prompt_id: int
    answer: str | None
    votes: bool = True


@dataclass(slots=True)
class _Group:
    """Answers that are the same, by their spellings."""

    answers: list[str]
    votes: int
    unclear: set[str] = field(default_factory=set)
    """Spellings that could not be compared with this one."""


def _groups(cast: list[str], same: "Callable[[str, str], bool | None]") -> list[_Group]:
    """Group answers, commonest spelling first, so that the groups do not depend on the order of rare ones."""
    counts: dict[str, int] = {}
    for answer in cast:
        counts[answer] = counts.get(answer, 0) + 1
    groups: list[_Group] = []
    ranked = sorted(counts, key=lambda answer: (-counts[answer], answer))
    for place, answer in enumerate(ranked):
        home = None
        for group in groups if place < SPELLINGS_MAX else ():
            said = same(answer, group.answers[0])
            if said:
                home = group
                break
            if said is None:
                group.unclear.add(answer)
        if home is None:
            groups.append(_Group([answer], counts[answer]))
        else:
            home.answers.append(answer)
            home.votes += counts[answer]
    return groups


def _verdict(answer: str | None, first: _Group, found: dict[str, object]) -> Verdict:
    if answer is None:
        return reject("no_answer", "the response gives no answer that could vote", **found)
    if answer in first.answers:
        return KEEP
    found = found | {"extracted": answer[:EVIDENCE_CHARS_MAX]}
    if answer in first.unclear:
        return abstain("answers_not_comparable", "it may be the majority's answer, spelt differently", **found)
    return reject("minority", f"{found['votes']} of {found['of']} answers agree on another one", **found)


def _math(response: str) -> str | None:
    tail = response[-TAIL_CHARS:].strip()
    held = boxed(response)
    if held is None:
        held = marked(tail) or (tail if len(tail) <= certain.CHARS_MAX else tail.rsplit("\n", 1)[-1])
    held = held.strip()
    return held if 0 < len(held) <= ANSWER_CHARS_MAX else None


def _exact(response: str) -> str | None:
    held = boxed(response)
    text = plain(held if held is not None else marked(response) or response)
    if len(text) > ANSWER_CHARS_MAX:
        digest = hashlib.blake2b(text.encode(errors="replace"), digest_size=16).hexdigest()
        return f"{text[:EVIDENCE_CHARS_MAX]} … {digest}"
    return text or None


FOUND: "dict[str, Callable[[str], str | None]]" = {"math": _math, "choice": choice.chosen, "exact": _exact}
"""How each comparison finds the answer of a response."""
