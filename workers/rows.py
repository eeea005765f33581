"""Rows of an export: their columns, made from pages of the ledger without a Python object for each value."""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from service.store.curation import Asked
from service.store.ledger import LedgerPage

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
        ("meta", pa.string()),
    ]
)
REPEATED = ["category", "teacher", "license", "verifier", "source", "finish_reason", "batch"]
"""Columns of few values: only they gain from a dictionary; trying one on long texts costs more than writing them."""
BOUNDED = [*REPEATED, *(field.name for field in KEPT if field.type == pa.int64())]
"""Columns whose bounds are written for each row group: those of texts take kilobytes, and memory until the end."""
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
    "meta": "what else the submitter said of the prompt: a JSON object, null where nothing",
}


_FLAT = pa.schema([field for field in REJECTED if field.name != "completion"])
_OF_PROMPT = ("reference", "verifier", "category", "source", "license")
_OF_TRACE = [
    name for name in KEPT.names if name not in ("prompt", "completion", "prompt_id", "batch", "meta", *_OF_PROMPT)
]
_SORTED_LINE = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


def flat(page: LedgerPage) -> pa.RecordBatch:
    """Return a page with all columns of `REJECTED` but `completion`, whose texts are in other columns already."""
    places = {prompt_id: place for place, prompt_id in enumerate(page.prompts)}
    of_row = pa.array([places[prompt_id] for prompt_id in page.columns["prompt_id"]], pa.int32())
    prompts = list(page.prompts.values())
    columns: dict[str, pa.Array] = {"prompt": _messages([messages_of(prompt) for prompt in prompts]).take(of_row)}
    for name in _OF_PROMPT:
        columns[name] = pa.array([getattr(prompt, name) for prompt in prompts], pa.string()).take(of_row)
    columns["meta"] = pa.array([meta_of(prompt) for prompt in prompts], pa.string()).take(of_row)
    columns["batch"] = pa.repeat(pa.scalar(page.batch_id, pa.string()), len(page))
    for field in _FLAT:
        if field.name not in columns:
            columns[field.name] = pa.array(page.columns[field.name], field.type)
    return pa.RecordBatch.from_arrays([columns[name] for name in _FLAT.names], schema=_FLAT)


def group(batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    """Return what `flat` gave as one batch with the columns of `schema`, `completion` among them."""
    flat_ = pa.concat_batches(batches)
    reasoning = flat_["reasoning"]
    said = pc.if_else(pc.equal(reasoning, ""), pa.scalar(None, pa.string()), reasoning)  # pyright: ignore[reportAttributeAccessIssue]
    role = pa.repeat(pa.scalar("assistant", pa.string()), len(flat_))
    messages = pa.StructArray.from_arrays([role, flat_["response"], said], fields=list(COMPLETION.value_type))
    completion = pa.ListArray.from_arrays(pa.array(range(len(flat_) + 1), pa.int32()), messages, type=COMPLETION)
    arrays = [completion if name == "completion" else flat_[name] for name in schema.names]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def text_bytes(batch: pa.RecordBatch) -> Any:
    """Return for each row of `flat` the bytes of its long texts, a numpy array of integers."""
    return pc.add(*(pc.binary_length(batch[name]) for name in ("reasoning", "response"))).to_numpy()  # pyright: ignore[reportAttributeAccessIssue]


def _messages(prompts: list[list[dict[str, str]]]) -> pa.Array:
    """Return chat messages as an array of `PROMPT`."""
    ends = pa.array(accumulate(map(len, prompts), initial=0), pa.int32())
    flat_ = [message for messages in prompts for message in messages]
    texts = [pa.array([message[name] for message in flat_], pa.string()) for name in ("role", "content")]
    return pa.ListArray.from_arrays(
        ends, pa.StructArray.from_arrays(texts, fields=list(PROMPT.value_type)), type=PROMPT
    )


def messages_of(prompt: Asked) -> list[dict[str, str]]:
    """Return a prompt's messages as they are exported."""
    return [{"role": str(message["role"]), "content": text_of(message)} for message in prompt.messages]


def meta_of(prompt: Asked) -> str | None:
    """Return a prompt's `meta` as it is exported: JSON with sorted keys, None where there is none."""
    return orjson.dumps(prompt.meta, option=orjson.OPT_SORT_KEYS).decode() if prompt.meta else None


def text_of(message: dict[str, Any]) -> str:
    """Return the text of a chat message; of a list of parts, the text parts one after the other."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return str(content or "")


def canonical(page: LedgerPage, places: Iterable[int]) -> bytes:
    """Return rows of a page, each as exported and as one line of canonical JSON: keys sorted, no spaces, UTF-8."""
    asked = {
        prompt_id: {name: getattr(prompt, name) for name in _OF_PROMPT}
        | {
            "prompt": orjson.Fragment(orjson.dumps(messages_of(prompt), option=orjson.OPT_SORT_KEYS)),
            "prompt_id": prompt_id,
            "meta": meta_of(prompt),
            "batch": page.batch_id,
        }
        for prompt_id, prompt in page.prompts.items()
    }
    columns = [(name, page.columns[name]) for name in _OF_TRACE]
    prompt_ids = page.columns["prompt_id"]
    lines = []
    for place in places:
        row = {name: values[place] for name, values in columns}
        answer = {"role": "assistant", "content": row["response"], "reasoning_content": row["reasoning"] or None}
        lines.append(orjson.dumps(asked[prompt_ids[place]] | row | {"completion": [answer]}, option=_SORTED_LINE))
    return b"".join(lines)
