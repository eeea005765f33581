"""Soft labels as they are stored: for each token of a completion, the chosen token and the likeliest others.

The layout, little-endian, inside one zstd frame:

| bytes | holds |
|---|---|
| 4 | `RSL1`: what it is, and which layout |
| 4 | tokens, uint32 |
| 2 | k, uint16 |
| 4 · tokens · k | token ids, uint32, row by row, as four planes: all lowest bytes first, all highest last |
| 2 · tokens · k | logprobs in steps of 1/1024 nat below 0, uint16, as two planes; from column 2 on as differences |

A logprob is off by at most 1/2048 nat (0.05 % of the probability) wherever it lies above the floor of -64. float16
takes as many bytes, within 2 %, and is off by 0.004 at -10 and 0.015 at -30: ten to thirty times as much.

Measured bytes a token, on 300 tokens over a vocabulary of 151,936 (OpenAI's JSON takes 100 to 130 an entry):

| k | alternatives as a language model has them (Zipf) | ids without any pattern: the bound | not compressed |
|---|---|---|---|
| 8 | 24.7 | 33.8 | 48 |
| 20 | 52.7 | 80.6 | 120 |
| 128 | 296 | 455 | 768 |
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

NO_TOKEN = 0xFFFF_FFFF
"""Fills a row for which the teacher gave fewer than k entries; its logprob is the floor."""
STEPS = 1024
"""Of a logprob, to 1 nat: fine enough to be exact to 0.05 %, coarse enough that 16 bits reach down to 1.6e-28."""
FLOOR = -0xFFFF / STEPS
"""What is less likely counts as this, -63.999; vLLM says -9999 for what it rules out."""
BYTES_PER_ENTRY = 4.25
"""The bound that was measured at k = 8; larger k need less."""
BYTES_PER_ANSWER = 64
"""Header, frame and the tables that short answers do not repay."""

_HEAD = struct.Struct("<4sIH")
_MAGIC = b"RSL1"


@dataclass(frozen=True, slots=True, eq=False)
class TopK:
    """Soft labels of one completion.

    Column 0 is the token that was chosen, the others are the likeliest of the rest, likeliest first. So a row holds the
    k likeliest tokens, or, where the chosen one is not among them, the k - 1 likeliest and the chosen one.
    """

    ids: NDArray[np.uint32]
    """Shape (tokens, k)."""
    logprobs: NDArray[np.float32]
    """Shape (tokens, k), natural logarithms at temperature 1, at most 0."""

    @property
    def tokens(self) -> int:
        """Tokens of the completion, its final stop token included."""
        return self.ids.shape[0]

    @property
    def k(self) -> int:
        """Entries for each token."""
        return self.ids.shape[1]


def pack(labels: TopK) -> bytes:
    """Return the bytes to store. Raises ValueError where the two arrays are not both of shape (tokens, k)."""
    if labels.ids.ndim != 2 or labels.ids.shape != labels.logprobs.shape:
        raise ValueError(f"expected two arrays (tokens, k), found {labels.ids.shape} and {labels.logprobs.shape}")
    # Clipped first: a step past the floor would wrap around.
    steps = np.rint(np.clip(labels.logprobs, FLOOR, 0.0) * -STEPS).astype("<u2")
    steps[:, 2:] -= steps[:, 1:-1].copy()
    head = _HEAD.pack(_MAGIC, labels.tokens, labels.k)
    return zstandard.compress(head + _planes(labels.ids.astype("<u4")) + _planes(steps))


def unpack(data: bytes) -> TopK:
    """Return the soft labels in `data`; logprobs as they were to 1/2048. Raises ValueError for anything else."""
    try:
        plain = zstandard.decompress(data)
        magic, tokens, k = _HEAD.unpack_from(plain)
    except (zstandard.ZstdError, struct.error) as error:
        raise ValueError(f"these are no soft labels: {error}") from error
    if magic != _MAGIC or len(plain) != _HEAD.size + 6 * tokens * k:
        raise ValueError(f"these are no soft labels of layout {_MAGIC.decode()}: {len(plain)} bytes, {magic!r}")
    middle = _HEAD.size + 4 * tokens * k
    ids = _joined(plain[_HEAD.size : middle], "<u4").reshape(tokens, k)
    steps = _joined(plain[middle:], "<u2").reshape(tokens, k)
    # In 16 bits, as they were taken: sums wrap around just as the differences did.
    steps[:, 1:] = np.cumsum(steps[:, 1:], axis=1, dtype=np.uint16)
    return TopK(ids.astype(np.uint32), steps.astype(np.float32) / np.float32(-STEPS))


def bytes_per_token(k: int) -> float:
    """Return the most bytes that one token takes at k entries, by measurement; two more for a margin."""
    return BYTES_PER_ENTRY * k + 2


def bytes_max(k: int, *, answers: int, tokens: int) -> int:
    """Return the most bytes that so many answers with so many tokens altogether will take."""
    return round(BYTES_PER_ANSWER * answers + bytes_per_token(k) * tokens)


def _planes(values: NDArray[Any]) -> bytes:
    """Return the lowest bytes of all values, then the next ones: equal bytes stand together for the compressor."""
    return np.ascontiguousarray(values).view(np.uint8).reshape(-1, values.itemsize).T.tobytes()


def _joined(planes: bytes, kind: str) -> NDArray[Any]:
    size = np.dtype(kind).itemsize
    return np.frombuffer(planes, np.uint8).reshape(size, -1).T.copy().view(kind).ravel()
