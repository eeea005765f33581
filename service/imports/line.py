"""A row of a table of traces: a prompt, and what a teacher answered."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from service.ingest import MESSAGES_MAX, PromptLine, check_verifier

ROLES = {"human": "user", "gpt": "assistant", "system": "system", "observation": "tool"}
"""What ShareGPT calls those who speak."""


class Said(BaseModel):
    """A chat message, with its reasoning under any of the names in use."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant", "developer", "tool"]
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    thinking: str | None = None
    train: bool | None = None
    """A mark of Axolotl; the answer is the last message whatever it says."""

    def message(self) -> dict[str, Any]:
        """Return it as servers send it."""
        said = {"role": self.role, "content": self.content or ""}
        if reasoning := self.reasoning_content or self.reasoning or self.thinking:
            said["reasoning_content"] = reasoning
        return said


class Turn(BaseModel):
    """A message as ShareGPT has it."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    speaker: Literal["human", "gpt", "system", "observation"] = Field(alias="from")
    value: str

    def said(self) -> Said:
        """Return it as a chat message."""
        return Said.model_validate({"role": ROLES[self.speaker], "content": self.value})


class TraceLine(PromptLine):
    """A prompt with one answer: apart (`response` or `completion`), or as the last message of a conversation."""

    prompt: str | list[Said] | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    messages: list[Said] | None = Field(default=None, max_length=MESSAGES_MAX)  # pyright: ignore[reportIncompatibleVariableOverride]
    conversations: list[Turn] | None = Field(default=None, max_length=MESSAGES_MAX)
    system: str | None = None
    """Stands before the conversation."""
    completion: str | list[Said] | None = None
    response: str | None = None
    reasoning: str | None = None
    prompt_id: str | int | None = None
    """Rows that follow one another with the same one are answers to one prompt; then `id` is the trace's own."""
    finish_reason: str | None = None
    prompt_tokens: NonNegativeInt | None = None
    completion_tokens: NonNegativeInt | None = None
    reasoning_tokens: NonNegativeInt | None = None

    @model_validator(mode="after")
    def _one_form(self) -> "TraceLine":
        check_verifier(self.verifier)
        self.id = self.id if self.prompt_id is None else self.prompt_id
        asked, _ = self._parts()
        for number, said in enumerate(asked, start=1):
            if not said.content:
                raise ValueError(f"message {number} of the prompt, the {said.role}'s, is empty")
        if not asked:
            raise ValueError("nothing was asked: the prompt holds no message")
        return self

    def asked(self) -> list[dict[str, Any]]:
        """Return the prompt's messages; reasoning of earlier answers stays with them."""
        return [said.message() for said in self._parts()[0]]

    def reply(self) -> dict[str, Any]:
        """Return the answer as the chat completion that it was."""
        message = self._parts()[1].message()
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        usage: dict[str, Any] = {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens}
        if self.reasoning_tokens is not None:
            usage["completion_tokens_details"] = {"reasoning_tokens": self.reasoning_tokens}
        return {"choices": [{"index": 0, "message": message, "finish_reason": self.finish_reason}], "usage": usage}

    def _parts(self) -> tuple[list[Said], Said]:
        """Return what was asked and the answer."""
        asked = self._conversation()
        if self.system:
            asked = [Said(role="system", content=self.system), *asked]
        given = [value for value in (self.completion, self.response) if value is not None]
        if len(given) > 1:
            raise ValueError("give either 'response' or 'completion'")
        if not given:
            if not asked or asked[-1].role != "assistant":
                wanted = "give 'response', 'completion', or messages of which the assistant's is the last"
                raise ValueError(f"there is no answer: {wanted}")
            return asked[:-1], asked[-1]
        if isinstance(given[0], str):
            return asked, Said(role="assistant", content=given[0])
        if len(given[0]) != 1 or given[0][0].role != "assistant":
            raise ValueError(f"'completion': expected one message of the assistant, found {len(given[0])} messages")
        return asked, given[0][0]

    def _conversation(self) -> list[Said]:
        forms = [value for value in (self.prompt, self.messages, self.conversations) if value is not None]
        if len(forms) != 1:
            raise ValueError("give one of 'prompt', 'messages' and 'conversations'")
        if isinstance(forms[0], str):
            return [Said(role="user", content=forms[0])]
        return [said.said() if isinstance(said, Turn) else said for said in forms[0]]


FIELDS = tuple(name for name in TraceLine.model_fields)
NEEDED = ("prompt", "messages", "conversations")
