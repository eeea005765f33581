"""A kept row's answer as a chat message, with the reasoning where it is wanted."""

from typing import Any

from service.exports.form import Reasoning, Wish
from service.exports.sealed import Row


def text(row: Row, wish: Wish) -> str:
    """Return the answer as one text: the response, with `inline` after the reasoning."""
    if wish.reasoning == Reasoning.INLINE and row["reasoning"]:
        return f"<think>\n{row['reasoning']}\n</think>\n\n{row['response']}"
    return row["response"]


def message(row: Row, wish: Wish) -> dict[str, Any]:
    """Return the assistant's message; the key of the reasoning is there in every row, or readers of JSON disagree."""
    said: dict[str, Any] = {"role": "assistant", "content": text(row, wish)}
    if wish.reasoning == Reasoning.FIELD:
        said[wish.reasoning_key] = row["reasoning"] or None
    return said


def ids(row: Row) -> dict[str, int]:
    """Return what leads back to the trace; readers leave columns alone that they do not know."""
    return {"id": row["id"], "prompt_id": row["prompt_id"]}
