"""Filter `refusal`: the teacher would not, or only said that it would."""

import re
from typing import ClassVar, Literal

from pydantic import PositiveInt

from filters.base import Filter
from filters.sample import Sample
from filters.verdict import KEEP, Verdict, reject

_POLITE = re.compile(
    r"(?:(?:unfortunately|sorry|i'?m (?:so )?sorry|i am sorry|i apologi[sz]e|my apologies|as an ai\b[^.,]{0,60}"
    r"|(?:i'm|i am) afraid(?: that)?|thank(?:s| you) for [^.,!\n]{0,60}|however)"
    r"[,.;:!]? *(?:but|for [^.,]{0,60}[,.])? *){0,3}"
)
_REFUSALS = {
    "en": [
        r"i (?:can ?not|can't|couldn't|could not)\b(?! (?:stress|overstate|emphasi[sz]e|help but|wait|find such))",
        # What else "I will not" is followed by is mostly said by somebody in a story.
        r"i (?:won't|will not) (?:be able|help|assist|write|provide|do|answer|create|generate|give|discuss|share)\b",
        r"we (?:can ?not|can't) (?:help|assist)\b",
        r"i(?: am|'m) (?:unable|not able|not allowed|not comfortable) (?:to|with)\b",
        r"i (?:don't|do not) feel comfortable\b",
        r"i (?:must|have to) (?:[a-z]{1,20} )?(?:decline|refuse)\b",
        r"(?:this|that|your) (?:request )?(?:goes against|violates) my\b",
        r"(?:i'm|i am|we're|we are) (?:very |really |so )?sorry,? (?:but|i) ",
        r"as an? (?:ai|artificial intelligence|large language model|language model)\b",
    ],
    "de": [
        r"(?:es tut mir leid|entschuldigung|leider (?:kann|darf) ich)\b",
        r"(?:ich kann|(?:das|dabei|diese [a-zäöüß]{1,20}) kann ich) "
        r"(?:ihnen |dir |dabei |hierbei |das |leider ){0,3}nicht\b",
        r"als (?:ki|sprachmodell)\b",
    ],
    "fr": [
        r"(?:je suis )?désolée?\b(?! pour)",
        r"je ne (?:peux pas|suis pas en mesure)\b",
        r"en tant qu'(?:ia|intelligence)\b",
    ],
    "es": [
        r"lo siento\b(?! mucho por)",
        r"no puedo (?:ayudar|hacer|cumplir|proporcionar|responder)",
        r"como (?:modelo de lengua|ia\b)",
    ],
    "pt": [
        r"(?:desculpe|sinto muito)\b",
        r"não posso (?:ajudar|fazer|fornecer|responder)",
        r"como (?:um modelo de|ia\b)",
    ],
    "nl": [
        r"het spijt me\b",
        r"(?:ik kan|(?:daar|dat|hier) kan ik) (?:je |u |daar |dat |hier |helaas ){0,3}niet\b",
        r"als (?:ai|taalmodel)\b",
    ],
    "it": [r"mi dispiace\b", r"non posso (?:aiutar|far|fornir|risponder)", r"come (?:modello linguistico|ia\b)"],
    "ru": [r"(?:извините|к сожалению,? я не|я не могу)\b", r"как (?:языковая модель|искусственный интеллект)\b"],
    "zh": [r"很?抱歉|对不起", r"我(?:无法|不能)", r"作为(?:一个|一名)?(?:人工智能|ai|语言模型)"],
    "ja": [r"申し訳(?:ありません|ございません)", r"すみませんが", r"(?:その|この)質問には(?:お答え|回答)できません"],
}
"""How refusals begin. In the middle of an answer the same words are usually about something else."""
_PROMISES = [
    r"(?:.{0,280}[^\w\s]\s{0,3})?(?:here(?:'s| is| are)|let me|let's|i'll|i will|below is|the (?:solution|answer) is)\b"
    r"[^.!?\n]{0,120}(?::|\.\.\.|…)$",
    r"(?:sure|certainly|of course|okay|ok|alright|absolutely)?[,.! ]{0,3}"
    r"(?:i'll|i will|let me|i am going to|i'm going to|give me a (?:moment|minute))\b[^\d\n.!?]{0,160}[.!]?$",
]
"""An announcement that ends in a colon, or that has no figure to it. Matched against the whole of a short response."""
_QUOTES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'"})
_REFUSING = [(name, re.compile("|".join(phrases))) for name, phrases in _REFUSALS.items()]
_PROMISING = re.compile("|".join(_PROMISES), re.DOTALL)


class Refusal(Filter):
    """Reject refusals and empty promises: a student learns them sooner than anything else.

    A short list of beginnings in ten languages, and so no judge: it misses a refusal in other words.
    """

    version: ClassVar[int] = 2
    kind: Literal["refusal"] = "refusal"
    chars_max: PositiveInt = 800
    """A longer response that begins like a refusal has usually gone on to answer."""
    promise_chars_max: PositiveInt = 300
    """A longer response holds more than an announcement."""

    def check(self, sample: Sample) -> Verdict:
        """Judge the beginning of the response, and the whole of a short one."""
        text = sample.response.strip()
        if len(text) > max(self.chars_max, self.promise_chars_max):
            return KEEP
        plain = text.translate(_QUOTES).casefold().lstrip("*_#> ")
        # A quotation that something follows is quoted by whoever goes on.
        if plain[:1] in ('"', "'") and plain[-1:] == plain[:1]:
            plain = plain.strip("\"'* ")
        # An answer in a box was given, whatever stands around it.
        if "\\boxed{" in plain:
            return KEEP
        if len(text) <= self.chars_max:
            polite = _POLITE.match(plain)
            start = polite.end() if polite else 0
            for language, pattern in _REFUSING:
                if found := pattern.match(plain, start) or pattern.match(plain):
                    detail = f"it begins {text[:100]!r}"
                    return reject("refusal", detail, language=language, matched=plain[: found.end()][:200])
        if len(text) <= self.promise_chars_max and _PROMISING.fullmatch(plain):
            return reject("empty_promise", f"all it says is {text[:100]!r}", matched=text[:200])
        return KEEP
