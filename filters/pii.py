"""Filter `pii`: secrets and obvious personal data that a teacher wrote out."""

import re
import warnings
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, ClassVar, Literal, NamedTuple

from filters.base import Filter
from filters.sample import Sample
from filters.verdict import KEEP, Verdict, reject

What = Literal["secret", "email", "phone", "iban", "card"]
_PIECE_CHARS, _OVERLAP_CHARS = 1000, 100
"""Secrets are sought in pieces: some of the library's patterns take time as the square of the length."""
_FOUND_MAX = 20
_SECRETS = """
    artifactory.ArtifactoryDetector aws.AWSKeyDetector azure_storage_key.AzureStorageKeyDetector
    basic_auth.BasicAuthDetector discord.DiscordBotTokenDetector github_token.GitHubTokenDetector
    gitlab_token.GitLabTokenDetector jwt.JwtTokenDetector mailchimp.MailchimpDetector npm.NpmDetector
    openai.OpenAIDetector private_key.PrivateKeyDetector pypi_token.PypiTokenDetector sendgrid.SendGridDetector
    slack.SlackDetector square_oauth.SquareOAuthDetector stripe.StripeDetector
    telegram_token.TelegramBotTokenDetector twilio.TwilioKeyDetector
""".split()  # noqa: SIM905 - a list literal reads worse
"""Those of the library with a form of their own. Left out are keywords and entropy, which hit every second program."""
_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,5}[A-Za-z]{2,24}(?![\w-])")
_NOBODYS = re.compile(r"(?:@|\.)example(?:\.(?:com|org|net))?$|\.(?:test|invalid|localhost)$", re.IGNORECASE)
"""Set aside for examples (RFC 2606)."""
_GIT = re.compile(r"git@[\w.-]+:")
"""Looks like an address and is where a repository lies."""
_OWN = [("Hugging Face Token", re.compile(r"hf_[A-Za-z0-9]{34}"))]
"""What the library has no detector for."""
_PLACEHOLDERS = re.compile(
    r"://[^:]*:(?:pass(?:word|wd)?|pwd|secret|changeme|your[\w-]*|x{3,}|\*{3,}|\$?[{<].*)@", re.IGNORECASE
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_CARD = re.compile(r"(?<![\d.,-])\d(?:[ -]?\d){12,18}(?![\d.,-]?\d)")
_BRANDS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:2[3-9]|[3-6]\d|7[01])\d{13}|3[47]\d{13}|6(?:011|5\d\d)\d{12}"
)
_PHONE = re.compile(r"(?<![\w+])\+\d[\d ()./-]{6,24}")
"""Without a region only numbers with a country code have one meaning."""
_PHONE_TRIES_MAX = 1000
_WIDER = {
    "email": "@",
    "iban": r"[A-Z]{2}\p{Nd}{2}(?: ?[A-Z0-9]{4}){2}",
    "card": r"\p{Nd}(?:[ -]?\p{Nd}){12}",
    "phone": r"\+\p{Nd}[\p{Nd} ()./-]{6}",
}
"""What every find begins with, without the look-around that RE2 has not."""
_SIEVE_BYTES_MAX = 64 << 20
"""Of RE2's tables at most; a few hundred kilobytes are enough."""


class Found(NamedTuple):
    """Something that should not be in a dataset."""

    what: str
    start: int
    text: str


class Pii(Filter):
    """Reject traces that hold secrets, addresses of people or numbers of accounts; the evidence shows them masked.

    Finds what has a form that can be checked. Names, places and what else tells of a person it does not find.
    """

    version: ClassVar[int] = 2
    kind: Literal["pii"] = "pii"
    find: tuple[What, ...] = ("secret", "email", "phone", "iban", "card")
    """`secret`: keys and tokens by detect-secrets; `phone`: with country code; `iban`, `card`: with right checksum."""

    def check(self, sample: Sample) -> Verdict:
        """Judge reasoning and response. The match is never written in full: the ledger would be the next leak."""
        found = [(place, each) for place in ("reasoning", "response") for each in self._first(getattr(sample, place))]
        shown = [{"what": one.what, "masked": mask(one), "in": place, "at": one.start} for place, one in found]
        if not shown:
            return KEEP
        place, first = found[0]
        detail = f"{first.what} {mask(first)} at character {first.start:,} of the {place}"
        return reject(first.what.partition(":")[0], detail, found=shown)

    def _first(self, text: str) -> list[Found]:
        """Return the first finds; pieces overlap, so that one may be found twice."""
        return list(islice(dict.fromkeys(islice(self._found(text), 10 * _FOUND_MAX)), _FOUND_MAX))

    def _found(self, text: str) -> Iterator[Found]:
        possible = _possible(text)
        if "secret" in self.find:
            yield from _secrets(text, [pattern for place, pattern in enumerate(_patterns()) if place in possible])
        if "email" in self.find and "email" in possible:
            for match in _EMAIL.finditer(text):
                if not _NOBODYS.search(match[0]) and not _GIT.match(text, match.start()):
                    yield Found("email", match.start(), match[0])
        if "iban" in self.find and "iban" in possible:
            yield from _checked("iban", _IBAN, text)
        if "card" in self.find and "card" in possible:
            yield from _checked("card", _CARD, text)
        if "phone" in self.find and "phone" in possible:
            yield from _phones(text)


def mask(found: Found) -> str:
    """Return a beginning by which a person finds the match again, and its length."""
    shown = 2 if found.what in ("email", "phone", "iban", "card") else 4
    return f"{found.text[:shown]}… ({len(found.text)} characters)"


def _secrets(text: str, patterns: list[tuple[str, re.Pattern[str]]]) -> Iterator[Found]:
    for start in range(0, len(text), _PIECE_CHARS - _OVERLAP_CHARS) if patterns else ():
        piece = text[start : start + _PIECE_CHARS]
        for name, pattern in patterns:
            for match in pattern.finditer(piece):
                if _PLACEHOLDERS.fullmatch(match[0]):
                    continue
                yield Found(f"secret: {name}", start + match.start(), match[0].strip("\"'= \n"))


def _possible(text: str) -> set[int | str]:
    """Return what may be in a text: places of patterns for secrets, names of the rest. Most texts hold nothing.

    One pass of RE2 for all, a hundred times as fast as pattern by pattern.
    """
    sieve, named, always = _sieve()
    # Half a surrogate pair is no valid text, yet models do write it; to RE2 it is as good as any other sign.
    return always | {named[number] for number in sieve.Match(text.encode(errors="replace")) or ()}


@lru_cache(maxsize=1)
def _sieve() -> tuple[Any, list[int | str], set[int | str]]:
    """Return the patterns as RE2 takes them, each finding all that the true one finds and a little more.

    With them what each is for, and those that have to be tried on every text.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import re2

    options = re2.Options()
    options.max_mem = _SIEVE_BYTES_MAX
    options.log_errors = False
    sieve = re2.Set.SearchSet(options)
    named: list[int | str] = []
    always: set[int | str] = set()
    wider = [(place, _widened(pattern)) for place, (_, pattern) in enumerate(_patterns())]
    for what, pattern in [*wider, *_WIDER.items()]:
        try:
            sieve.Add(pattern)
        except re2.error:  # a later release of the library may use what RE2 has not
            always.add(what)
        else:
            named.append(what)
    sieve.Compile()
    return sieve, named, always


def _widened(pattern: re.Pattern[str]) -> str:
    """Return a pattern without what it asks of its surroundings, which differ from piece to piece."""
    text = pattern.pattern
    for edge in (r"(?!\w)", r"(?:\s|=|:|\"|^)", r"(?:\s|\"|$)"):
        text = text.replace(edge, "")
    text = re.sub(r"\{(\d+),\d+\}$", r"{\1}", text).replace(r"\d", r"\p{Nd}")
    return f"(?i){text}" if pattern.flags & re.IGNORECASE else text


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    from importlib import import_module

    patterns = _OWN.copy()
    for path in _SECRETS:
        module, name = path.split(".")
        detector = getattr(import_module(f"detect_secrets.plugins.{module}"), name)
        patterns += [(detector.secret_type, pattern) for pattern in detector.denylist]
    return patterns


def _checked(what: str, pattern: re.Pattern[str], text: str) -> Iterator[Found]:
    from stdnum import iban, luhn

    for match in pattern.finditer(text):
        digits = match[0].replace(" ", "").replace("-", "")
        valid = iban.is_valid(digits) if what == "iban" else _BRANDS.fullmatch(digits) and luhn.is_valid(digits)
        if valid:
            yield Found(what, match.start(), match[0])


def _phones(text: str) -> Iterator[Found]:
    from phonenumbers import PhoneNumberMatcher

    for candidate in islice(_PHONE.finditer(text), _PHONE_TRIES_MAX):
        for match in PhoneNumberMatcher(candidate[0], None):
            yield Found("phone", candidate.start() + match.start, match.raw_string)
