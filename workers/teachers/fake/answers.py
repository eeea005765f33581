"""What the fake teacher answers: OpenAI's chat completions as vLLM shapes them, spoilt where the scenario says so."""

import random
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from zlib import crc32

from workers.teachers.fake import vocabulary
from workers.teachers.fake.scenario import Fault, Kind, Scenario

WORDS = (
    "so then next we add take half of twice the first number and carry one which leaves seven hence".split()  # noqa: SIM905
)


class Answers:
    """Makes the reply to a request: a function of the scenario, the prompt, its seed and the sample index."""

    def __init__(self, scenario: Scenario, model: str) -> None:
        self.scenario = scenario
        self.model = model
        self._scripted = [(re.compile(each.match), each) for each in scenario.answers]

    def reply(self, request: dict[str, Any], prompt: str, fault: Fault | None) -> dict[str, Any]:
        """Return the JSON body of a reply with status 200; `fault` spoils it if it is one that bodies can show."""
        kind = fault.kind if fault else None
        n = int(request.get("n") or 1)
        count = n + {Kind.FEWER_CHOICES: -1, Kind.MORE_CHOICES: 1, Kind.NO_CHOICES: -n}.get(kind, 0) if kind else n
        choices, completion_tokens, reasoning_tokens = [], 0, 0
        for index in range(count):
            choice, tokens, thought = self._choice(request, prompt, index, kind)
            choices.append(choice)
            completion_tokens += tokens
            reasoning_tokens += thought
        prompt_tokens = len(prompt.split())
        identity = "chatcmpl-another" if kind is Kind.WRONG_ID else f"chatcmpl-{crc32(prompt.encode()):08x}"
        reply: dict[str, Any] = {
            "id": identity,
            "object": "chat.completion",
            "created": 0,
            "model": "another-model" if kind is Kind.WRONG_ID else self.model,
            "choices": choices,
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
                "total_tokens": prompt_tokens + completion_tokens,
                "completion_tokens_details": {"reasoning_tokens": reasoning_tokens},
            },
        }
        return {"id": identity, "object": "chat.completion"} if kind is Kind.WRONG_SHAPE else reply

    def _choice(
        self, request: dict[str, Any], prompt: str, index: int, kind: Kind | None
    ) -> tuple[dict[str, Any], int, int]:
        """Return a choice with its completion and reasoning tokens. A token is a word here."""
        reasoning, response = self._answer(request, prompt, index)
        if (request.get("chat_template_kwargs") or {}).get("enable_thinking") is False:
            reasoning = ""
        reasoning, response, finish_reason = _cut(reasoning, response, request.get("max_tokens"))
        message = _message(reasoning, response, self.scenario.era, kind)
        choice: dict[str, Any] = {
            "index": 7 if kind is Kind.WRONG_ID else index,
            "message": {"role": "assistant", **message},
            "logprobs": None,
            "finish_reason": _FINISH.get(kind, finish_reason) if kind else finish_reason,
        }
        thought = len(reasoning.split())
        tokens = thought + len(response.split())
        words = re.findall(r"\s*\S+", f"{reasoning} {response}" if reasoning else response)
        if request.get("logprobs"):
            ids = bool(request.get("return_tokens_as_token_ids"))
            choice["logprobs"] = {"content": list(_logprobs(words, int(request.get("top_logprobs") or 0), ids))}
        if request.get("return_token_ids"):
            choice["token_ids"] = [vocabulary.of(word) for word in words]
        return choice, tokens, thought

    def _answer(self, request: dict[str, Any], prompt: str, index: int) -> tuple[str, str]:
        for pattern, scripted in self._scripted:
            if pattern.search(prompt):
                return scripted.reasoning, scripted.responses[index % len(scripted.responses)]
        made = crc32(f"{self.scenario.seed}/{request.get('seed')}/{index}/{prompt}".encode())
        reasoning = f"Thought {made:08x}: {_words(made % 64, self.scenario.reasoning_words)}"
        if not self.scenario.reasoning_words:
            reasoning = ""
        if self.scenario.answer == "echo":
            return reasoning, prompt.rpartition("\0")[2]
        return reasoning, f"Answer {made:08x}: {_words(made % 61, self.scenario.response_words)}"


_FINISH = {Kind.HALF_OPEN_TAG: "length", Kind.ABORTED: "abort"}


def prompt_text(messages: Any) -> str:
    """Return the text of all messages, a NUL between them. Raises ValueError where they are no chat messages."""
    if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
        raise ValueError("messages: expected a list of at least one message")
    return "\0".join(str(each.get("content") or "") for each in messages)


def _message(reasoning: str, response: str, era: str, kind: Kind | None) -> dict[str, Any]:
    """Return content and reasoning as a server of that era sends them, newlines by the tags included."""
    match kind:
        case Kind.EMPTY_CONTENT:
            return {"content": "", "reasoning": ""}
        case Kind.NULL_CONTENT:
            return {"content": None, "reasoning": None}
        case Kind.LOST_REASONING:
            return {"content": response, "reasoning": None}
        case Kind.ALL_IN_REASONING:
            return {"content": None, "reasoning": f"\n{reasoning}\n\n\n{response}"}
        case Kind.HALF_OPEN_TAG:
            return {"content": f"<think>\n{reasoning}"}
        case Kind.ONLY_CLOSING_TAG:
            era = "closing_tag"
        case Kind.ABORTED:
            response = response[: len(response) // 2]
    if not reasoning:
        return {"content": response, "reasoning": None} if era == "reasoning" else {"content": response}
    apart, content = f"\n{reasoning}\n", f"\n\n{response}" if response else None
    match era:
        case "reasoning_content":
            return {"content": content, "reasoning_content": apart}
        case "both":
            return {"content": content, "reasoning": apart, "reasoning_content": apart}
        case "inline":
            return {"content": f"<think>{apart}</think>{content}" if content else f"<think>\n{reasoning}"}
        case "closing_tag":
            return {"content": f"{reasoning}\n</think>{content or ''}"}
        case _:
            return {"content": content, "reasoning": apart}


def _cut(reasoning: str, response: str, tokens_max: Any) -> tuple[str, str, str]:
    """Return both texts cut to `tokens_max` words, reasoning first, and the finish reason."""
    if not isinstance(tokens_max, int):
        return reasoning, response, "stop"
    thought = reasoning.split()
    left = tokens_max - len(thought)
    if left >= len(response.split()):
        return reasoning, response, "stop"
    return " ".join(thought[:tokens_max]), " ".join(response.split()[: max(left, 0)]), "length"


def _logprobs(words: list[str], top: int, as_ids: bool) -> Iterator[dict[str, Any]]:
    """Yield OpenAI's entry for each token, the sampled one first among its alternatives, as vLLM orders them."""
    for word in words:
        found = vocabulary.likeliest(vocabulary.of(word), max(1, top))
        names = [f"token_id:{token}" if as_ids else f"{word}{k or ''}" for k, token in enumerate(found)]
        entries = [
            {"token": name, "logprob": logprob, "bytes": list(word.encode())}
            for name, logprob in zip(names, found.values(), strict=True)
        ]
        yield {**entries[0], "top_logprobs": entries if top else []}


@lru_cache(maxsize=256)
def _words(variant: int, count: int) -> str:
    return " ".join(random.Random(variant).choices(WORDS, k=count))  # noqa: S311 - filler, no secret
