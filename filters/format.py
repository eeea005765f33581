"""Filter `format`: what a response must and must not hold, and whether what it opens is closed."""

import json
import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from filters.base import Filter
from filters.markup import Parts, parts
from filters.sample import Sample
from filters.verdict import KEEP, Verdict, abstain, reject
from filters.verifiers.answer import boxed

Wish = Literal["any", "required", "forbidden"]
_PATTERN_S = 0.25
"""For one response. Honest patterns take microseconds, backtracking ones for ever."""
_PATTERN_CHARS_MAX = 200_000
_PAIRS = ((r"\[", r"\]"), (r"\(", r"\)"))
_DELIMITER = re.compile(r"\\\\|\\[\[\]()]|\\\$|\$\$")
_ENVIRONMENT = re.compile(r"\\(begin|end)\s{0,3}\{([A-Za-z]{1,30}\*?)\}")
_THINK = re.compile(r"</?(?:think|thinking|reasoning)>|<\|(?:begin|end)_of_thought\|>", re.IGNORECASE)
_INLINE = re.compile(r"(`{1,3})[^`\n]{1,500}\1")


def _pattern(text: str) -> str:
    import regex

    try:
        regex.compile(text)
    except regex.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return text


Pattern = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_pattern)]


class Format(Filter):
    """Reject responses without the parts that were asked for, with parts that were not, or with parts left open."""

    version: ClassVar[int] = 2
    kind: Literal["format"] = "format"
    boxed: Wish = "any"
    r"""A `\boxed{}` with something in it."""
    code: Wish = "any"
    """A fenced block of code."""
    json_only: bool = False
    """The response is one JSON value, alone or in one fenced block."""
    pattern: Pattern | None = None
    """A regular expression that must be found in the response; what takes longer than a quarter second abstains."""
    pattern_forbidden: Pattern | None = None
    """One that must not be found."""
    closed: bool = True
    """Fences, formulas and think tags that are left open: such an answer broke off, or its parts were mixed up."""

    def check(self, sample: Sample) -> Verdict:
        """Judge the response; what is cheap to see comes first."""
        text = sample.response
        found = parts(text)
        for verdict in (
            self._open(text, found) if self.closed else KEEP,
            self._wished("boxed", self.boxed, bool(boxed(text))),
            self._wished("code", self.code, bool(found.blocks)),
            self._json(text, found),
            self._matched(text),
        ):
            if verdict is not KEEP:
                return verdict
        return KEEP

    def _wished(self, what: str, wish: Wish, there: bool) -> Verdict:
        if wish == "required" and not there:
            return reject(f"no_{what}", f"the response has no {what}")
        if wish == "forbidden" and there:
            return reject(f"has_{what}", f"the response has {what}")
        return KEEP

    def _open(self, text: str, found: Parts) -> Verdict:
        prose = _INLINE.sub("", found.prose)
        if tag := _THINK.search(prose):
            return reject("think_tag", f"the response holds {tag[0]}", tag=tag[0], at=text.find(tag[0]))
        if found.open:
            return reject("open_code", "a fenced block is not closed", begins=found.blocks[-1].text[:200])
        if boxed(text) == "" and text.rstrip()[-1:] != "}":
            return reject("open_box", r"the last \boxed{ is not closed", end=text[-200:])
        left = _open_formula(prose)
        return reject("open_formula", f"{left} is not closed", opened=left, end=text[-200:]) if left else KEEP

    def _json(self, text: str, found: Parts) -> Verdict:
        if not self.json_only:
            return KEEP
        value = found.blocks[0].text if len(found.blocks) == 1 and not found.prose.strip() else text
        try:
            json.loads(value, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            return reject("no_json", f"the response is no JSON: {error}"[:300], begins=value[:200])
        return KEEP

    def _matched(self, text: str) -> Verdict:
        import regex

        for pattern, wanted in ((self.pattern, True), (self.pattern_forbidden, False)):
            if pattern is None:
                continue
            if len(text) > _PATTERN_CHARS_MAX:
                return abstain("too_long", f"{len(text):,} characters are more than a pattern is tried on")
            try:
                found = regex.search(pattern, text, timeout=_PATTERN_S)
            except TimeoutError:
                return abstain("pattern_timeout", f"{pattern[:100]!r} took longer than {_PATTERN_S} s")
            if bool(found) != wanted:
                shown = {"matched": found[0][:200]} if found else {}
                what = "is not found" if wanted else "is found"
                return reject("no_pattern" if wanted else "has_pattern", f"{pattern[:100]!r} {what}", **shown)
        return KEEP


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is Python's, not JSON's")


def _open_formula(prose: str) -> str:
    r"""Return the first of `$$`, `\[`, `\(` and `\begin{}` that prose opens more often than it closes, else ""."""
    signs = [sign for sign in _DELIMITER.findall(prose)]
    for opening, closing in _PAIRS:
        if signs.count(opening) > signs.count(closing):
            return opening
    if signs.count("$$") % 2:
        return "$$"
    depth: dict[str, int] = {}
    for word, name in _ENVIRONMENT.findall(prose):
        depth[name] = depth.get(name, 0) + (1 if word == "begin" else -1)
    return next((f"\\begin{{{name}}}" for name, left in depth.items() if left > 0), "")
