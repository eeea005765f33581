"""When two prompts are the same one: case, spacing and Unicode spelling do not make another."""

import hashlib
import unicodedata


def normalised(text: str) -> str:
    """Return `text` as two prompts are compared: NFKC, one space between words, case folded."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def fingerprint(text: str) -> bytes:
    """Return 16 bytes that equal prompts share."""
    return hashlib.blake2b(normalised(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()
