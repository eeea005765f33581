"""Chat completions built from traces: what a batch's output file and a stored completion hold."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import zstandard

from service.models import Trace
from service.openai.shapes import CompletionObject
from service.soft_labels import TopK
from service.teachers.logprobs import as_choice

FINISHES = {"stop", "length", "tool_calls", "content_filter", "function_call"}


def completion(
    completion_id: str,
    teacher: str,
    traces: Sequence[Trace],
    metadata: Any = None,
    labels: Mapping[int, TopK] | None = None,
) -> CompletionObject:
    """Return one chat completion with a choice for each of its traces; `labels` are soft labels by trace."""
    labels = labels or {}
    return CompletionObject(
        id=completion_id,
        created=int(traces[0].created_at),
        model=teacher,
        choices=[_choice(trace, index, labels.get(trace.id or 0)) for index, trace in enumerate(traces)],
        usage=_usage(traces),
        metadata=metadata,
    )


def _choice(trace: Trace, index: int, labels: TopK | None) -> dict[str, Any]:
    """Return the teacher's own choice with reasoning and response as they were told apart.

    Both names of the reasoning's field are filled in: which one a client reads depends on its age.
    """
    raw: dict[str, Any] = orjson.loads(zstandard.decompress(trace.raw)) if trace.raw else {}
    message: dict[str, Any] = raw.get("message") or {}
    reasoning = trace.reasoning or None
    text = {"role": "assistant", "content": trace.response, "reasoning": reasoning, "reasoning_content": reasoning}
    if not trace.response and message.get("tool_calls"):
        text["content"] = None
    message = {"refusal": None, **message, **text}
    # A word of the server's own for an answer that it gave up is nearest to one that was cut off.
    finish = trace.finish_reason if trace.finish_reason in FINISHES else "length" if trace.finish_reason else "stop"
    if labels is not None:
        raw["logprobs"] = as_choice(labels)
    return {"logprobs": None, **raw, "index": index, "message": message, "finish_reason": finish}


def _usage(traces: Sequence[Trace]) -> dict[str, Any] | None:
    """Return the tokens that the teacher counted: the prompt once, the answers together; None where it did not say."""
    prompt = [trace.prompt_tokens for trace in traces if trace.prompt_tokens is not None]
    answers = [trace.completion_tokens for trace in traces if trace.completion_tokens is not None]
    if not prompt or len(answers) < len(traces):
        return None
    thought = [trace.reasoning_tokens for trace in traces if trace.reasoning_tokens is not None]
    details = {"reasoning_tokens": sum(thought)} if len(thought) == len(traces) else None
    return {
        "prompt_tokens": max(prompt),
        "completion_tokens": sum(answers),
        "total_tokens": max(prompt) + sum(answers),
        "completion_tokens_details": details,
    }
