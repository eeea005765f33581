"""Which split a prompt belongs to: a property of its text alone."""

import hashlib
import unicodedata
from collections.abc import Mapping


def normalised(text: str) -> str:
    """Return `text` as two prompts are compared: NFKC, one space between words, case folded."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def fingerprint(text: str) -> bytes:
    """Return 16 bytes that equal prompts share."""
    return hashlib.blake2b(normalised(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def split_of(text: str, fractions: Mapping[str, float]) -> str:
    """Return `test`, `eval` or `train` for a prompt's text.

    `fractions` gives the parts of `test` and `eval` of all prompts. The same prompt, in whichever batch, order or
    version, lands in the same split, so that no answer to a test prompt is ever trained on.
    """
    place = int.from_bytes(fingerprint(text)[:8], "big") / 2**64
    test = fractions.get("test", 0.0)
    if place < test:
        return "test"
    return "eval" if place < test + fractions.get("eval", 0.0) else "train"
