"""The fake teacher behind its sockets: what it says to a request, and the count of what it was asked."""

import math
import os
import random
import time
from collections import Counter
from typing import Any, NamedTuple

import orjson

from workers.teachers.fake import errors, vocabulary
from workers.teachers.fake.answers import Answers, prompt_text
from workers.teachers.fake.fate import Fate
from workers.teachers.fake.scenario import Fault, Kind, Scenario

UNSENT = frozenset({Kind.DROPPED, Kind.TRUNCATED_BODY, Kind.DROPPED_IN_BODY, Kind.INVALID_JSON, Kind.HANG})
"""Faults after which no choice can have reached the client."""
SCORED = "score"
"""What a call that scores token ids is called where others have their prompt."""


class Reply(NamedTuple):
    """What to send after `wait_s` seconds, and the fault that the connection itself has to show, if any."""

    status: int
    body: bytes
    headers: bytes = b""
    wait_s: float = 0.0
    fault: Fault | None = None


class FakeTeacher:
    """What all connections share: the scenario and the count of calls."""

    def __init__(self, scenario: Scenario, model: str, calls_fd: int | None = None) -> None:
        self.model = model
        self.calls = 0
        self.choices = 0
        self.outcomes: Counter[str] = Counter()
        self._calls_fd = calls_fd
        self.play(scenario)

    def play(self, scenario: Scenario) -> None:
        """Behave as `scenario` says from now on; the counts go on."""
        self.scenario = scenario
        self._answers = Answers(scenario, self.model)
        self._fate = Fate(scenario)
        self._rng = random.Random(scenario.seed)  # noqa: S311 - chance for tests, no secret

    def counts(self) -> dict[str, Any]:
        """Return the calls so far, the choices sent in whole, and the calls by outcome."""
        return {"calls": self.calls, "choices": self.choices, "outcomes": self.outcomes}

    def models(self) -> dict[str, Any]:
        """Return the list that /v1/models shows."""
        entry = {"id": self.model, "object": "model", "owned_by": "retort"}
        return {"object": "list", "data": [{**entry, "max_model_len": self.scenario.context_tokens}]}

    def chat(self, body: bytes, authorization: bytes) -> Reply:
        """Return the reply to one call of /v1/chat/completions, having counted it."""
        self.calls += 1
        try:
            request = orjson.loads(body)
            prompt = prompt_text(request.get("messages"))
            n = int(request.get("n") or 1)
        except (ValueError, AttributeError, TypeError) as error:
            self._count("", None, "bad_request", 0)
            return Reply(*errors.error(400, str(error), "BadRequestError"))
        fault = self._fate.of(self.calls, prompt)
        refusal = errors.of_fault(fault) if fault else self._refusal(request, prompt, authorization)
        if refusal:
            self._count(prompt, n, fault.kind.value if fault else f"http_{refusal[0]}", 0)
            return Reply(*refusal, wait_s=self._latency_s())
        reply = self._answers.reply(request, prompt, fault)
        sent = 0 if fault and fault.kind in UNSENT else len(reply.get("choices", ()))
        self._count(prompt, n, fault.kind.value if fault else "ok", sent)
        slow_s = fault.delay_s if fault and fault.kind is Kind.SLOW else 0.0
        return Reply(200, orjson.dumps(reply), wait_s=self._latency_s() + slow_s, fault=fault)

    def score(self, body: bytes, authorization: bytes) -> Reply:
        """Return the reply to one call of /v1/completions whose prompts are token ids, having counted it."""
        self.calls += 1
        try:
            request = orjson.loads(body)
            given = request["prompt"]
            prompts = [[int(token) for token in ids] for ids in (given if isinstance(given[0], list) else [given])]
            k = int(request.get("prompt_logprobs") or 0)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            self._count("", None, "bad_request", 0)
            return Reply(*errors.error(400, f"prompt: expected token ids ({error})", "BadRequestError"))
        fault, longest = self._fate.of(self.calls, SCORED), max(map(len, prompts))
        refusal = errors.of_fault(fault) if fault else self._refusal(request, " x" * longest, authorization)
        if refusal:
            self._count(SCORED, 1, fault.kind.value if fault else f"http_{refusal[0]}", 0)
            return Reply(*refusal, wait_s=self._latency_s())
        like = {"text": " x", "logprobs": None, "finish_reason": "length"}
        choices = [
            {"index": index, **like, "prompt_logprobs": vocabulary.prompt_logprobs(ids, k) if k else None}
            for index, ids in enumerate(prompts)
        ]
        self._count(SCORED, len(choices), fault.kind.value if fault else "ok", len(choices))
        asked = sum(map(len, prompts))
        usage = {"prompt_tokens": asked, "completion_tokens": len(choices), "total_tokens": asked + len(choices)}
        reply: dict[str, Any] = {"id": "cmpl-fake", "object": "text_completion", "created": 0, "model": self.model}
        if not (fault and fault.kind is Kind.WRONG_SHAPE):
            reply |= {"choices": choices, "usage": usage}
        return Reply(200, orjson.dumps(reply), wait_s=self._latency_s(), fault=fault)

    def tokenize(self, body: bytes, authorization: bytes) -> Reply:
        """Return the reply to one call of /tokenize, of `messages` or of a text; it is not counted."""
        try:
            request = orjson.loads(body)
            text = request["prompt"] if "prompt" in request else prompt_text(request.get("messages"))
        except (ValueError, TypeError) as error:
            return Reply(*errors.error(400, str(error), "BadRequestError"))
        refusal = self._refusal(request, "", authorization)
        if refusal:
            return Reply(*refusal)
        ids = vocabulary.encode(str(text))
        found = {"count": len(ids), "max_model_len": self.scenario.context_tokens, "tokens": ids, "token_strs": None}
        return Reply(200, orjson.dumps(found))

    def _refusal(self, request: dict[str, Any], prompt: str, authorization: bytes) -> tuple[int, bytes, bytes] | None:
        """Return the error that a real server would answer by itself."""
        if self.scenario.api_key is not None and authorization != f"Bearer {self.scenario.api_key}".encode():
            return errors.unauthorized()
        if request.get("model") != self.model:
            message = f"The model `{request.get('model')}` does not exist. Valid aliases: {self.model}."
            return errors.error(404, message, "NotFoundError", "model")
        if request.get("stream"):
            return errors.error(400, "the fake teacher does not stream", "BadRequestError", "stream")
        if len(prompt) > self.scenario.context_tokens and len(prompt.split()) > self.scenario.context_tokens:
            return errors.error(*errors.STATUSES[Kind.PROMPT_TOO_LONG])
        return None

    def _latency_s(self) -> float:
        sigma = self.scenario.latency_sigma
        return self.scenario.latency_ms / 1000 * (math.exp(self._rng.gauss(0, sigma)) if sigma else 1.0)

    def _count(self, prompt: str, n: Any, outcome: str, choices: int) -> None:
        """Record a call where no database can lose it: the line is in the file before the answer is on its way."""
        self.choices += choices
        self.outcomes[outcome] += 1
        if self._calls_fd is not None:
            line = {"call": self.calls, "time": time.time(), "n": n, "outcome": outcome, "choices": choices}
            os.write(self._calls_fd, orjson.dumps({**line, "prompt": prompt[:200]}) + b"\n")
