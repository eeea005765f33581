"""Filter `language`: in which language the answer is, and whether another script breaks into it."""

import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, PositiveInt

from filters.base import Filter
from filters.markup import parts, without_formulas
from filters.sample import Sample
from filters.verdict import KEEP, Verdict, reject

if TYPE_CHECKING:
    from lingua import LanguageDetector

_CHARS_MAX = 1000
"""Of a text that are looked at for its language, from its middle: enough to be certain, and the same time for all."""
_SCRIPTS = """
    Arabic Armenian Bengali Cyrillic Devanagari Ethiopic Georgian Gujarati Gurmukhi Hangul Han Hebrew Hiragana Kannada
    Katakana Khmer Lao Malayalam Myanmar Sinhala Tamil Telugu Thai Tibetan
""".split()  # noqa: SIM905 - a list literal reads worse
"""All but Latin, which every language borrows from, and Greek, whose letters are signs of mathematics."""
_ENGLISH = frozenset(
    "the of and that this with which are have has each there from if then not it they would".split()  # noqa: SIM905 - a list literal reads worse
)
"""Commonest words of English that no other language has among its own."""
_ENGLISH_WORDS_MIN = 16
_ENGLISH_SHARE_MIN = 0.12
"""Of the words, in both halves of a text. English prose has a fifth of them, other languages next to none."""
_TRANSLATION = re.compile(
    r"translat|übersetz|tradui|traduc|traduz|vertaal|перевед|перевод|翻译|翻訳|번역", re.IGNORECASE
)
_TOGETHER = {"Hiragana": "Japanese", "Katakana": "Japanese", "Hangul": "Korean"}
_HAN_USERS = {"Japanese", "Korean"}


def _code(code: str) -> str:
    from lingua import IsoCode639_1

    if len(code) != 2 or not hasattr(IsoCode639_1, code.upper()):
        raise ValueError(f"{code!r} is no language that can be told; expected an ISO 639-1 code such as 'en' or 'zh'")
    return code.lower()


class LanguageFilter(Filter):
    """Reject answers in another language than wanted, or with letters of another script among them.

    Code, formulas and addresses do not count. Texts too short to tell are kept.
    """

    version: ClassVar[int] = 2
    kind: Literal["language"] = "language"
    languages: tuple[Annotated[str, AfterValidator(_code)], ...] = ()
    """ISO 639-1 codes of languages that are wanted; none means the prompt's own, any where it asks to translate."""
    on: Literal["response", "reasoning", "both"] = "response"
    """Teachers often reason in a language of their own and answer in the asker's."""
    confidence_min: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Of another language; related ones, such as Norwegian and Danish, share what lies below."""
    letters_min: PositiveInt = 40
    """Fewer are a name, a number or a formula in words."""
    foreign_share_max: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of letters of scripts that neither the text is mainly in nor the prompt has. Translations want more."""

    def check(self, sample: Sample) -> Verdict:
        """Judge the scripts first, then the language; lingua tells it by the likelihood of sequences of letters."""
        prompt = _prose(sample.prompt_text)
        for place in ("reasoning", "response") if self.on == "both" else (self.on,):
            text = _prose(getattr(sample, place))
            verdict = self._scripts(prompt, text, place)
            if verdict is KEEP:
                verdict = self._language(prompt, text, place)
            if verdict is not KEEP:
                return verdict
        return KEEP

    def _scripts(self, prompt: str, text: str, place: str) -> Verdict:
        counts, first = scripts(text)
        if not counts:
            return KEEP
        letters = sum(counts.values())
        main = max(counts, key=lambda script: counts[script])
        known = {"Latin", main, *scripts(prompt)[0]} | ({"Han"} if main in _HAN_USERS else set())
        foreign = {script: count for script, count in counts.items() if script not in known}
        if sum(foreign.values()) <= self.foreign_share_max * letters:
            return KEEP
        worst = max(foreign, key=lambda script: foreign[script])
        around = text[max(0, first[worst] - 40) : first[worst] + 40]
        detail = f"{sum(foreign.values())} of {letters} letters of the {place} are {worst}, the others {main}"
        return reject("mixed_script", detail, scripts=dict(counts), around=around, **{"in": place})

    def _language(self, prompt: str, text: str, place: str) -> Verdict:
        found = self._told(text)
        if found is None or (not self.languages and _TRANSLATION.search(prompt)):
            return KEEP
        wanted = self.languages or tuple(filter(None, [self._told(prompt)]))
        if not wanted or found in wanted:
            return KEEP
        detail = f"the {place} is {found}, not {' or '.join(wanted)}"
        return reject("wrong_language", detail, found=found, wanted=list(wanted), begins=text[:200], **{"in": place})

    def _told(self, text: str) -> str | None:
        """Return the code of the language that a text is in, None where that is not certain enough."""
        middle = max(0, (len(text) - _CHARS_MAX) // 2)
        text = text[middle : middle + _CHARS_MAX]
        if sum(map(str.isalpha, text)) < self.letters_min:
            return None
        if _is_english(text):
            return "en"
        code, confidence = _likeliest(text)
        return code if confidence >= self.confidence_min else None


def scripts(text: str) -> tuple[Counter[str], dict[str, int]]:
    """Return how many letters of each script a text has, and where the first of each stands; in that order."""
    counts: Counter[str] = Counter()
    first: dict[str, int] = {}
    # Nearly all letters of most texts are ASCII, and counted at once.
    if plain := _ASCII_LETTER.search(text):
        counts["Latin"] = len(text.encode("ascii", "ignore").translate(None, _NO_LETTERS))
        first["Latin"] = plain.start()
    for stretch in () if text.isascii() else _BEYOND_ASCII.finditer(text):
        for found in _letters().finditer(stretch[0]):
            script = found.lastgroup or ""
            script = _TOGETHER.get(script, script)
            counts[script] += len(found[0])
            first[script] = min(first.get(script, len(text)), stretch.start() + found.start())
    first = dict(sorted(first.items(), key=lambda item: item[1]))
    return Counter({script: counts[script] for script in first}), first


_ASCII_LETTER, _BEYOND_ASCII = re.compile("[A-Za-z]"), re.compile(r"[^\x00-\x7f]+")
_NO_LETTERS = bytes(sign for sign in range(128) if not chr(sign).isalpha())


def _prose(text: str) -> str:
    return without_formulas(parts(text).prose)


@lru_cache(maxsize=64)  # the n answers to a prompt come together
def _is_english(text: str) -> bool:
    """Say whether a text is English beyond doubt: a short way for the commonest case, a fiftieth of lingua's time."""
    words = text.casefold().split()
    if len(words) < _ENGLISH_WORDS_MIN:
        return False
    half = len(words) // 2
    return all(
        sum(map(_ENGLISH.__contains__, part)) >= _ENGLISH_SHARE_MIN * len(part) for part in (words[:half], words[half:])
    )


@lru_cache(maxsize=64)
def _likeliest(text: str) -> tuple[str, float]:
    # Half a surrogate pair is no valid text, and lingua takes none.
    text = text.encode(errors="replace").decode()
    best = _detector().compute_language_confidence_values(text)[0]
    return best.language.iso_code_639_1.name.lower(), best.value


@lru_cache(maxsize=1)
def _letters():
    import regex

    names = "|".join(rf"(?P<{name}>\p{{Script={name}}}+)" for name in ("Latin", *_SCRIPTS))
    return regex.compile(names)


@lru_cache(maxsize=1)
def _detector() -> "LanguageDetector":
    from lingua import LanguageDetectorBuilder

    # The full models take a gigabyte and fifteen seconds to load, and are better on single words alone.
    return LanguageDetectorBuilder.from_all_spoken_languages().with_low_accuracy_mode().build()
