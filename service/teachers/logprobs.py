"""Reading soft labels out of what a server says about tokens.

Only token ids say which token is meant: different tokens can have the same text, and half a character has none. vLLM
gives them in place of the text (`token_id:263`) where the request says `return_tokens_as_token_ids`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from service.soft_labels import FLOOR, NO_TOKEN, TopK

PLACEHOLDER = "token_id:"
IDS_MISSING = "no_token_ids"
"""Why an answer has no soft labels although its teacher sent logprobs: it tells tokens by their text alone."""
UNREADABLE = "unreadable_logprobs"

Row = list[tuple[int, float]]
"""Token ids with their logprobs, the chosen one first."""


def of_choice(logprobs: Any) -> tuple[TopK | None, str]:
    """Return the soft labels in a choice's `logprobs`, or None and the reason.

    The reason is empty where nobody asked for any: no logprobs, or none of tokens that were not chosen.
    """
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    if not content or not isinstance(content, list):
        return None, ""
    try:
        if not any(entry["top_logprobs"] for entry in content):
            return None, ""
        if not all(entry["token"].startswith(PLACEHOLDER) for entry in content):
            return None, IDS_MISSING
        return _table([_row(entry) for entry in content]), ""
    except (KeyError, TypeError, ValueError, AttributeError):
        # The answer is good without them, and `raw` keeps what came.
        return None, UNREADABLE


def as_choice(labels: TopK) -> dict[str, Any]:
    """Return soft labels as the `logprobs` of a choice again, as vLLM gives them with `return_tokens_as_token_ids`."""
    content = []
    for ids, logprobs in zip(labels.ids.tolist(), labels.logprobs.tolist(), strict=True):
        row = [
            {"token": f"{PLACEHOLDER}{token}", "logprob": round(logprob, 4), "bytes": None}
            for token, logprob in zip(ids, logprobs, strict=True)
            if token != NO_TOKEN
        ]
        content.append({**row[0], "top_logprobs": row})
    return {"content": content}


def of_prompt(prompt_logprobs: Any, ids: Sequence[int], *, start: int, k: int) -> TopK:
    """Return the soft labels of `ids[start:]`, from vLLM's `prompt_logprobs` of all `ids`: `{id: {logprob, …}}` each.

    Raises ValueError where they are not about these tokens.
    """
    if not isinstance(prompt_logprobs, list) or len(prompt_logprobs) != len(ids):
        raise ValueError(f"expected logprobs of {len(ids)} tokens")
    rows = []
    for chosen, given in zip(ids[start:], prompt_logprobs[start:], strict=True):
        try:
            found = {int(token): float(about["logprob"]) for token, about in given.items()}
            row = [(chosen, found.pop(chosen))]
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"the logprobs of token {chosen} do not hold itself") from error
        rows.append(row + sorted(found.items(), key=lambda item: -item[1])[: k - 1])
    return _table(rows)


def _row(entry: dict[str, Any]) -> Row:
    """Return the chosen token and the others, as many together as the server gave likeliest ones."""
    top = entry["top_logprobs"]
    chosen = entry["token"]
    others = top[1:] if top and top[0]["token"] == chosen else [each for each in top if each["token"] != chosen]
    row = [entry, *others[: max(0, len(top) - 1)]]
    return [(int(each["token"][len(PLACEHOLDER) :]), float(each["logprob"])) for each in row]


def _table(rows: Sequence[Row]) -> TopK:
    k = max(map(len, rows), default=0)
    ids = np.full((len(rows), k), NO_TOKEN, np.uint32)
    logprobs = np.full((len(rows), k), FLOOR, np.float32)
    for place, row in enumerate(rows):
        ids[place, : len(row)], logprobs[place, : len(row)] = zip(*row, strict=True)
    if np.isnan(logprobs).any():
        raise ValueError("a logprob is no number")
    return TopK(ids, np.minimum(logprobs, 0))
