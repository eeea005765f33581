"""What a worker may expect of any teacher: completions, or one of two errors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from service.soft_labels import TopK


class TeacherError(Exception):
    """A request that brought no completion. `reason` is a stable snake_case code, `detail` a sentence for a person."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class TeacherBusy(TeacherError):
    """It may work later: the same request can be tried again.

    Reasons: `rate_limited`, `overloaded`, `server_error`, `bad_gateway`, `gateway_timeout`, `connection_refused`,
    `unreachable`, `unknown_host`, `connection_lost`, `timeout`, `truncated_body`, `invalid_json`, `wrong_shape`,
    `empty_response`, `aborted`.
    """

    def __init__(self, reason: str, detail: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(reason, detail)
        self.retry_after_s = retry_after_s
        """Seconds the teacher asked us to wait; None where it did not say."""

    @property
    def away(self) -> bool:
        """True where the server itself is not there: a reason to leave the teacher alone, not to blame this prompt."""
        return self.reason in AWAY


class TeacherRefused(TeacherError):
    """It will never work as asked: trying again wastes calls.

    Reasons: `bad_request`, `prompt_too_long`, `max_tokens_too_large`, `request_too_large`, `unauthorized`, `forbidden`,
    `no_key`, `bad_key`, `quota_exhausted`, `unknown_model`, `unknown_path`, `redirected`, `address_not_allowed`,
    `tls_failed`, `reply_too_large`, `unexpected_status`.
    """

    @property
    def whole_teacher(self) -> bool:
        """True where every prompt would be refused alike: a reason to stop and tell a person, not to fail them all."""
        return self.reason in MISCONFIGURED


MISCONFIGURED = frozenset(
    {
        "unauthorized",
        "forbidden",
        "no_key",
        "bad_key",
        "quota_exhausted",
        "unknown_model",
        "unknown_path",
        "redirected",
        "address_not_allowed",
        "tls_failed",
    }
)
"""Reasons that say how the teacher is registered or paid for: none of them says anything about the prompt."""
NOBODY_THERE = frozenset({"connection_refused", "unreachable", "unknown_host"})
"""Reasons that say that no server answers at all."""
AWAY = frozenset({"connection_refused", "unreachable", "unknown_host", "overloaded", "bad_gateway"})
"""Reasons a teacher gives while it restarts: none of them says anything about the prompt."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to ask: the request's own fields (`temperature`, `max_tokens`, `top_logprobs`, …), passed on as given."""

    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def thinking(self) -> bool | None:
        """Whether the request switches thinking on or off; None where it leaves that to the chat template."""
        kwargs = self.params.get("chat_template_kwargs")
        # Qwen3, GLM and most others read `enable_thinking`; DeepSeek V3.1 and Granite read `thinking`.
        for key in ("enable_thinking", "thinking"):
            if isinstance(kwargs, Mapping) and isinstance(kwargs.get(key), bool):
                return kwargs[key]
        return False if self.params.get("reasoning_effort") == "none" else None


@dataclass(slots=True)
class Completion:
    """One reply of a teacher. Token counts are None where the teacher told none for this one choice."""

    reasoning: str
    """Chain of thought without its tags; empty where there is none."""
    response: str
    """Final text without the reasoning; empty where the reply was cut off inside the reasoning."""
    finish_reason: str
    """`stop`, `length`, … as the teacher said; empty where it said nothing."""
    prompt_tokens: int | None
    completion_tokens: int | None
    """Reasoning and response together."""
    reasoning_tokens: int | None
    latency_ms: int
    """Of the whole request, the same for all n choices."""
    raw: bytes
    """JSON of the choice with all its fields; `token_ids` only where the caller asked for them, logprobs only where
    they did not become `labels`."""
    logprobs: dict[str, Any] | None = None
    """OpenAI's shape, `content: [{token, logprob, bytes, top_logprobs}]`, one entry for each completion token; None
    where they became `labels`."""
    labels: "TopK | None" = None
    """Soft labels, where the server gave token ids with its logprobs."""
    labels_missing: str = ""
    """Why there are none although logprobs came, such as `no_token_ids`."""
    note: str = ""
    """What was odd about the reasoning, a value of `reasoning.Note`; empty where nothing was."""
    model: str = ""
    """What the server called the model that answered; a name other than the one asked for is worth a look."""


class Teacher(Protocol):
    """Anything that answers chat messages. One object is shared by all requests of a worker to one teacher."""

    async def complete(self, messages: list[dict[str, Any]], sampling: Sampling, n: int = 1) -> list[Completion]:
        """Return 1 to n completions, fewer than n where the teacher gave fewer. Raises only TeacherError."""
        ...

    async def close(self) -> None:
        """Let go of connections; requests still in flight fail."""
        ...
