"""How far a model is from the teacher, token by token, on answers of the teacher that it was not trained on.

Perplexity needs those answers alone. The rest needs what the teacher held likely beside each token: stored soft labels,
or a teacher on this machine. From the same two distributions p and q comes what the model would be worth as a draft for
its teacher: Leviathan et al. 2023, "Fast Inference from Transformers via Speculative Decoding" (arXiv:2211.17192),
accept a drafted token with probability sum(min(p, q)), and greedily where both hold the same token likeliest.
"""

import math
from dataclasses import dataclass
from typing import Any

from trainer.measures.shape import Shape

DRAFTED = (2, 4, 8)
"""Tokens drafted at once for which the gain is told."""


class Draft(Shape):
    """Tokens that one pass of the teacher yields when so many were drafted; without drafting it is 1."""

    drafted: int
    sampled: float
    """(1 - a^(drafted+1)) / (1 - a) with a = `acceptance`: theorem of the paper, which takes tokens as independent."""
    greedy: float
    """The same with a = `agreement`."""


class Distance(Shape):
    """One model on one source of held-out answers."""

    rows: int
    tokens: int
    """Of the answers."""
    perplexity: float
    """exp of the mean negative log-likelihood of an answer's token."""
    tokens_labelled: int = 0
    """With the teacher's distribution beside them; the following are over these."""
    kl: float | None = None
    """KL(teacher || student), nats a token. All that the teacher's entries leave out counts as one token, so that it is
    a lower bound of the whole divergence."""
    agreement: float | None = None
    """Share of tokens that both hold likeliest."""
    acceptance: float | None = None
    """Mean of sum(min(p, q)) over the teacher's entries: a lower bound, sampling at temperature 1."""
    acceptance_max: float | None = None
    """The same if what the entries leave out agreed as well as it can."""
    draft: list[Draft] = []


class HeldOut(Shape):
    """One source of held-out answers, and every model on it."""

    origin: str
    """Whose answers they are."""
    distribution: str | None
    """Where the teacher's distributions are from; None where there are none."""
    models: dict[str, Distance]


@dataclass(slots=True)
class Tally:
    """Adds up one model's distance, row by row."""

    rows: int = 0
    tokens: int = 0
    loss: float = 0.0
    labelled: int = 0
    kl: float = 0.0
    agreed: int = 0
    accepted: float = 0.0
    accepted_max: float = 0.0

    def add(self, logits: Any, chosen: Any, ids: Any = None, logprobs: Any = None) -> None:
        """Count one answer.

        `logits` (tokens, vocabulary) predicted `chosen`; `ids` and `logprobs` (tokens, k) are the teacher's entries.
        """
        from torch.nn.functional import cross_entropy

        self.rows += 1
        self.tokens += len(chosen)
        self.loss += float(cross_entropy(logits, chosen, reduction="sum"))
        if ids is not None:
            self._compare(logits, ids, logprobs)

    def _compare(self, logits: Any, ids: Any, logprobs: Any) -> None:
        import torch

        from trainer.divergence import divergence, likeliest, with_rest
        from trainer.soft_rows import NO_LABEL

        known = ids[:, 0] != NO_LABEL
        if not known.any():
            return
        logits, ids, logprobs = logits[known], ids[known], logprobs[known]
        none = ids == NO_LABEL
        teacher = with_rest(logprobs.masked_fill(none, -torch.inf)).exp()
        student = with_rest(logits.log_softmax(1).gather(1, ids.clamp(min=0)).masked_fill(none, -torch.inf)).exp()
        shared = torch.minimum(teacher, student)
        self.labelled += len(ids)
        self.kl += float(divergence(logits, ids, logprobs, 1.0, "bucket").sum())
        self.agreed += int((logits.argmax(1) == likeliest(ids, logprobs)).sum())
        self.accepted += float(shared[:, :-1].sum())
        self.accepted_max += float(shared.sum())

    def distance(self) -> Distance | None:
        """Return what was counted; None where no row was."""
        if not self.tokens:
            return None
        known: dict[str, Any] = {}
        if self.labelled:
            acceptance, agreement = (share / self.labelled for share in (self.accepted, self.agreed))
            known = {
                "kl": round(self.kl / self.labelled, 6),
                "agreement": round(agreement, 6),
                "acceptance": round(acceptance, 6),
                "acceptance_max": round(min(1.0, self.accepted_max / self.labelled), 6),
                "draft": [
                    Draft(drafted=drafted, sampled=_yield(acceptance, drafted), greedy=_yield(agreement, drafted))
                    for drafted in DRAFTED
                ],
            }
        # Capped, since a base that knows nothing of the tokens can come to more than JSON and people can read.
        perplexity = round(math.exp(min(self.loss / self.tokens, 50.0)), 4)
        return Distance(
            rows=self.rows, tokens=self.tokens, perplexity=perplexity, tokens_labelled=self.labelled, **known
        )


def _yield(acceptance: float, drafted: int) -> float:
    return round(sum(acceptance**place for place in range(drafted + 1)), 4)
