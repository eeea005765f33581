"""Rows of an export: their columns, and one row from one sample."""

from typing import Any

import orjson
import pyarrow as pa

from filters.sample import Sample

PROMPT = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
COMPLETION = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string()), ("reasoning_content", pa.string())]))
"""The student's template decides how reasoning is written; `reasoning_content` is the name most of them read."""

KEPT = pa.schema(
    [
        ("prompt", PROMPT),
        ("completion", COMPLETION),
        ("id", pa.int64()),
        ("prompt_id", pa.int64()),
        ("category", pa.string()),
        ("teacher", pa.string()),
        ("license", pa.string()),
        ("reasoning", pa.string()),
        ("response", pa.string()),
        ("reference", pa.string()),
        ("verifier", pa.string()),
        ("source", pa.string()),
        ("sample_index", pa.int64()),
        ("finish_reason", pa.string()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("batch", pa.string()),
    ]
)
REPEATED = ["category", "teacher", "license", "verifier", "source", "finish_reason", "batch"]
"""Columns of few values: only they gain from a dictionary; trying one on long texts costs more than writing them."""
REJECTED = pa.schema(
    [*KEPT, *(pa.field(name, pa.string()) for name in ("filter", "reason", "detail", "evidence", "split"))]
)

COLUMNS = {
    "prompt": "chat messages: what was asked",
    "completion": "one assistant message: the response in `content`, the reasoning in `reasoning_content` or null",
    "id": "the trace, as the ledger names it",
    "prompt_id": "the prompt; answers to one prompt share it",
    "category": "as the submitter stated it",
    "teacher": "who answered",
    "license": "of the prompt, as the submitter stated it; the teachers' licences are in `manifest.json`",
    "reasoning": "the chain of thought, apart from the response",
    "response": "the final text",
    "reference": "the known right answer, null where there is none",
    "verifier": "how response and reference are compared, null for the recipe's choice",
    "source": "where the prompt is from, as the submitter stated it",
    "sample_index": "which of the n answers to the prompt, from 0",
    "finish_reason": "`stop` or `length`, as the teacher said",
    "prompt_tokens": "as the teacher counted them; null where it told none",
    "completion_tokens": "reasoning and response together, as the teacher counted them",
    "batch": "the batch that the prompt was submitted in",
}


def kept_row(sample: Sample, batch_id: str) -> dict[str, Any]:
    """Return the exported row of a sample."""
    answer = {"role": "assistant", "content": sample.response, "reasoning_content": sample.reasoning or None}
    return {
        "prompt": [{"role": str(message["role"]), "content": text_of(message)} for message in sample.messages],
        "completion": [answer],
        "id": sample.id,
        "prompt_id": sample.prompt_id,
        "category": sample.category,
        "teacher": sample.teacher,
        "license": sample.license,
        "reasoning": sample.reasoning,
        "response": sample.response,
        "reference": sample.reference,
        "verifier": sample.verifier,
        "source": sample.source,
        "sample_index": sample.sample_index,
        "finish_reason": sample.finish_reason,
        "prompt_tokens": sample.prompt_tokens,
        "completion_tokens": sample.completion_tokens,
        "batch": batch_id,
    }


def text_of(message: dict[str, Any]) -> str:
    """Return the text of a chat message; of a list of parts, the text parts one after the other."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return str(content or "")


def canonical(row: dict[str, Any]) -> bytes:
    """Return a row as one line of canonical JSON: keys sorted, no spaces, UTF-8."""
    return orjson.dumps(row, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
