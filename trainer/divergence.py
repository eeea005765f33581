"""How far a student's distribution over a token is from what is known of its teacher's."""

from typing import Any

import torch

from trainer.soft_rows import NO_LABEL

PROBABILITY_MIN = 1e-9
"""Of a bucket: rounding may leave less than nothing in it."""


def divergence(logits: Any, ids: Any, logprobs: Any, temperature: float, tail: str) -> Any:
    """Return KL(teacher || student) of each token, in nats, at a temperature.

    `logits` (tokens, vocabulary), `ids` and `logprobs` (tokens, k): the teacher's entries, NO_LABEL for none.
    `tail`: see `trainer.soft_label.Config`.
    """
    none = ids == NO_LABEL
    student = (logits / temperature).log_softmax(1).gather(1, ids.clamp(min=0))
    if tail == "zero":
        teacher = (logprobs / temperature).masked_fill(none, -torch.inf).log_softmax(1)
    else:
        teacher = logprobs.masked_fill(none, -torch.inf)
        teacher, student = with_rest(teacher), with_rest(student.masked_fill(none, -torch.inf))
    terms = teacher.exp() * (teacher - student)
    return terms.masked_fill(teacher == -torch.inf, 0.0).sum(1)


def with_rest(logprobs: Any) -> Any:
    """Return logprobs with one more column: that of everything they leave out."""
    rest = (1 - logprobs.exp().sum(1, keepdim=True)).clamp(min=PROBABILITY_MIN).log()
    return torch.cat([logprobs, rest], 1)


def likeliest(ids: Any, logprobs: Any) -> Any:
    """Return the token that the teacher holds likeliest, for each token."""
    return ids.gather(1, logprobs.masked_fill(ids == NO_LABEL, -torch.inf).argmax(1, keepdim=True)).squeeze(1)
