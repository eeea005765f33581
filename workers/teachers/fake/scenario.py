"""What the fake teacher does wrong, and when: a scenario is its JSON file."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator


class Kind(StrEnum):
    """One fault. Its name is also the name of a scenario in which every request meets it."""

    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    OVERLOADED = "overloaded"
    UNAUTHORIZED = "unauthorized"
    UNKNOWN_MODEL = "unknown_model"
    PROMPT_TOO_LONG = "prompt_too_long"
    DROPPED = "dropped"
    """The connection is closed without an answer."""
    DROPPED_IN_BODY = "dropped_in_body"
    """The connection is reset in the middle of the body."""
    TRUNCATED_BODY = "truncated_body"
    """Half of the announced body, then an orderly end."""
    INVALID_JSON = "invalid_json"
    """A complete HTTP reply whose JSON is cut off."""
    WRONG_SHAPE = "wrong_shape"
    """Valid JSON without choices."""
    HANG = "hang"
    """No answer, ever; the connection stays open. What vLLM does to its clients after SIGTERM."""
    SLOW = "slow"
    """The right answer after `delay_s`."""
    SLOW_BODY = "slow_body"
    """The right answer, dribbled over `delay_s`."""
    FEWER_CHOICES = "fewer_choices"
    MORE_CHOICES = "more_choices"
    NO_CHOICES = "no_choices"
    EMPTY_CONTENT = "empty_content"
    NULL_CONTENT = "null_content"
    HALF_OPEN_TAG = "half_open_tag"
    ONLY_CLOSING_TAG = "only_closing_tag"
    ALL_IN_REASONING = "all_in_reasoning"
    LOST_REASONING = "lost_reasoning"
    """Reasoning tokens in `usage`, no reasoning in the message."""
    ABORTED = "aborted"
    """Half an answer with vLLM's finish reason `abort`."""
    WRONG_ID = "wrong_id"
    """Another model's name, another request's id, and every choice with the same index."""


class Strict(BaseModel):
    """A misspelt field is an error, not a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Fault(Strict):
    """A fault and when it strikes: where all conditions hold; without any, always."""

    kind: Kind
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Drawn anew for each request, from the scenario's seed."""
    requests: list[int] | None = None
    """Only these requests, counted from 1 in the order of arrival."""
    match: str | None = None
    """Only prompts in which this regular expression is found."""
    tries: int | None = None
    """Only the first so many requests for the same prompt: those after it get through."""
    retry_after_s: float | None = None
    """Sends `Retry-After` along with an error status."""
    retry_after_form: Literal["seconds", "date"] = "seconds"
    delay_s: Annotated[float, Field(ge=0)] = 5.0
    """For `slow` and `slow_body`."""

    @field_validator("match")
    @classmethod
    def _is_a_pattern(cls, value: str | None) -> str | None:
        return _pattern(value) if value is not None else None


class Scripted(Strict):
    """Answers for the prompts in which `match` is found, one for each sample index, over and over."""

    match: str
    responses: Annotated[list[str], Field(min_length=1)]
    reasoning: str = ""

    @field_validator("match")
    @classmethod
    def _is_a_pattern(cls, value: str) -> str:
        return _pattern(value)


class Scenario(Strict):
    """How the fake teacher behaves. Everything has a default: `{}` is a perfect teacher."""

    seed: int = 0
    """Of faults, latency and answers: the same requests in the same order meet the same fate."""
    latency_ms: Annotated[float, Field(ge=0)] = 0.0
    latency_sigma: Annotated[float, Field(ge=0, le=3)] = 0.0
    """Above 0 the latency is lognormal with `latency_ms` as its median; real servers have long tails (0.5 is usual)."""
    era: Literal["reasoning", "reasoning_content", "both", "inline", "closing_tag"] = "reasoning"
    """Where the reasoning stands: vLLM's field of today, that up to 0.11, both, or tags within the content."""
    answer: Literal["plain", "echo"] = "plain"
    """`plain`: made up from prompt, seed and sample index. `echo`: the last message, word for word."""
    reasoning_words: Annotated[int, Field(ge=0, le=100_000)] = 40
    response_words: Annotated[int, Field(ge=1, le=100_000)] = 12
    answers: list[Scripted] = []
    api_key: str | None = None
    """Requests without this Bearer token get 401."""
    context_tokens: Annotated[int, Field(ge=1)] = 32_768
    """Longer prompts get vLLM's 400."""
    down: bool = False
    """Every connection is closed without an answer, those to /health and /v1/models too."""
    faults: list[Fault] = []
    """The first that strikes decides."""


class ScenarioError(Exception):
    """A scenario that cannot be used; the message names the file and each wrong field."""


FLAKY = [
    Fault(kind=Kind.RATE_LIMITED, probability=0.05, retry_after_s=1),
    # The shares are of all requests: each of the later draws sees only what the earlier ones left.
    Fault(kind=Kind.SERVER_ERROR, probability=0.03 / 0.95),
    Fault(kind=Kind.DROPPED, probability=0.02 / 0.92),
]
NAMED: dict[str, Scenario] = {
    "perfect": Scenario(),
    "flaky": Scenario(faults=FLAKY),
    "down": Scenario(down=True),
    **{kind.value: Scenario(faults=[Fault(kind=kind)]) for kind in Kind},
    "rate_limited": Scenario(faults=[Fault(kind=Kind.RATE_LIMITED, retry_after_s=1)]),
}
"""`perfect` but for what the name says; those named after a fault show it on every request."""


def load(name_or_path: str) -> Scenario:
    """Return a scenario by its name, or from a JSON file. Raises ScenarioError."""
    if name_or_path in NAMED:
        return NAMED[name_or_path]
    try:
        text = Path(name_or_path).read_bytes()
    except OSError as error:
        names = ", ".join(NAMED)
        raise ScenarioError(f"{name_or_path}: neither a file ({error.strerror}) nor one of {names}") from error
    return parse(text, source=name_or_path)


def parse(text: bytes | str, source: str = "scenario") -> Scenario:
    """Return the scenario in a JSON text. Raises ScenarioError that names each wrong field."""
    try:
        return Scenario.model_validate_json(text)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, each['loc'])) or 'file'}: {each['msg']}" for each in error.errors()]
        raise ScenarioError(f"{source}: " + "; ".join(wrong)) from error


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    return value
