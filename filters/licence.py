"""Filter `licence`: may this teacher's answer to this prompt be used as intended?"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Literal

from filters.base import Filter
from filters.licences.check import Answer, Override, Use, check
from filters.sample import Sample
from filters.verdict import KEEP, Verdict, reject


class LicenceFilter(Filter):
    """Reject samples whose teacher's or prompt's licence forbids the intended use, or says nothing that can be read.

    Duties do not reject: they are collected for the manifest and the dataset card.
    """

    kind: Literal["licence"] = "licence"
    use: Use = "commercial"
    """What the dataset and the student are for; the stricter use is assumed unless research is stated."""
    base: str | None = None
    """Licence of the weights the student starts from; some licences let outputs train only their own family."""
    overrides: tuple[Override, ...] = ()
    """Licences that a person has cleared, with the reason and the name that stay on the dataset card."""

    def check(self, sample: Sample) -> Verdict:
        """Judge the licences of the teacher, of the one that wrote the reasoning anew if any, and of the prompt."""
        return self._verdict(*_licences(sample))

    def judge(self, samples: Iterable[Sample]) -> Iterator[Verdict]:
        """Judge the same licences once: a dataset has few of them and many samples."""
        verdict = lru_cache(maxsize=1024)(self._verdict)
        return (verdict(*_licences(sample)) for sample in samples)

    def answer(self, teachers: Iterable[str], prompts: Iterable[str], student_name: str | None = None) -> Answer:
        """Return the answer for a whole version, as its manifest keeps it."""
        return check(teachers, prompts, self.base, self.use, student_name=student_name, overrides=self.overrides)

    def _verdict(self, teacher: str, rewriter: str | None, prompt: str) -> Verdict:
        answer = self.answer([teacher] if rewriter is None else [teacher, rewriter], [prompt])
        if answer.decision in ("allowed", "allowed_with_duties"):
            return KEEP
        deciding = answer.clauses[0]
        evidence = {"teacher": teacher, "prompt": prompt, "clause": deciding.model_dump(exclude={"duties"})}
        if rewriter is not None:
            evidence["rewriter"] = rewriter
        return reject(
            f"licence_{answer.decision}", f"{deciding.role} {deciding.licence}: {deciding.clause}", **evidence
        )


def _licences(sample: Sample) -> tuple[str, str | None, str]:
    """Return the licences of teacher, rewriter (None where there is none) and prompt."""
    return sample.teacher_license, sample.rewriter_license if sample.rewriter else None, sample.license
