"""The fake teacher's tokens: a token is a word, and its id and its likelihood are functions of the word alone."""

import re
from typing import Any
from zlib import crc32

from service.teachers.reasoning import PAIRS

SIZE = 50_000
_TAGS = re.compile("|".join(re.escape(tag) for pair in PAIRS.items() for tag in pair))


def of(word: str) -> int:
    """Return the id of a word, whatever space stands around it; rarely two words share one."""
    return crc32(word.strip().encode()) % SIZE


def encode(text: str) -> list[int]:
    """Return the ids of a text's words. The tags around reasoning are no tokens here, nor is there a stop token."""
    return [of(word) for word in _TAGS.sub(" ", text).split()]


def likeliest(token: int, k: int) -> dict[int, float]:
    """Return a token and the k - 1 next to it with their logprobs, the token itself first."""
    logprob = -(token % 1000) / 1000
    return {(token + step) % SIZE: logprob - 1 - step if step else logprob for step in range(k)}


def prompt_logprobs(ids: list[int], k: int) -> list[dict[str, Any] | None]:
    """Return vLLM's `prompt_logprobs`: for each token but the first the likeliest ones by id."""
    scored: list[dict[str, Any] | None] = [
        {
            str(token): {"logprob": logprob, "rank": rank, "decoded_token": f"<{token}>"}
            for rank, (token, logprob) in enumerate(likeliest(each, k).items(), start=1)
        }
        for each in ids
    ]
    return [None, *scored[1:]]
