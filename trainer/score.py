"""What a model holds likely about replies that are there already: one forward pass, nothing is generated."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

LOGITS_BYTES_MAX = 256 * 1024**2
"""Of a batch: the logits of large vocabularies are what fills the memory."""


class Scored(NamedTuple):
    """A prompt with a reply, as tokens."""

    ids: list[int]
    reply_tokens: int
    """So many of the last ones are the reply's."""


def reply_logits(model: Any, rows: Sequence[Scored]) -> Iterator[tuple[int, Any]]:
    """Yield the place of each row and the logits (tokens of the reply, vocabulary) that predicted its reply.

    Rows without a reply, or too long for the memory there is, are passed over.
    """
    import torch

    order = sorted(
        (place for place, row in enumerate(rows) if 0 < row.reply_tokens < len(row.ids)),
        key=lambda place: len(rows[place].ids),
        reverse=True,
    )
    size = LOGITS_BYTES_MAX // (model.dtype.itemsize * model.config.get_text_config().vocab_size)
    done = 0
    while done < len(order):
        count = max(1, min(len(order) - done, size // len(rows[order[done]].ids)))
        batch = order[done : done + count]
        try:
            logits = _forward(model, [rows[place].ids for place in batch])
        except torch.OutOfMemoryError:
            if count == 1:
                done += 1
            size //= 2
            continue
        for found, place in zip(logits, batch, strict=True):
            end = len(rows[place].ids) - 1
            yield place, found[end - rows[place].reply_tokens : end].float()
        done += count


def token_logprobs(model: Any, rows: Sequence[Scored]) -> Iterator[tuple[int, Any]]:
    """Yield the place of each row and the logprobs of its reply's own tokens."""
    import torch

    for place, logits in reply_logits(model, rows):
        chosen = torch.tensor(rows[place].ids[-rows[place].reply_tokens :], device=logits.device)
        yield place, logits.log_softmax(1).gather(1, chosen[:, None]).squeeze(1)


def _forward(model: Any, rows: list[list[int]]) -> Any:
    import torch

    longest = max(map(len, rows))
    # Padded behind, where no token of the row can see it.
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=model.device)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=model.device)
    with torch.no_grad():  # not inference_mode: a model that is being trained may keep what it makes here
        return model(input_ids=ids, attention_mask=mask, use_cache=False).logits
