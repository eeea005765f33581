"""`openai_examples`: files for OpenAI's fine-tuning, chat examples and preferences.

{"messages": [{"role": "user", "content": …}, {"role": "assistant", "content": …, "weight": 1}]}
{"input": {"messages": […]}, "preferred_output": [{"role": "assistant", …}], "non_preferred_output": [{…}]}

The answer is the last message; what it says before `</think>`, or in `reasoning_content`, is its reasoning. An answer
that is not preferred comes with the verdict of whoever prefers the other one, and so is rejected in every version.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from filters.verdict import Outcome
from service.formats.detect import Format
from service.formats.record import Unfit
from service.imports.chat import joined
from service.imports.line import Said
from service.imports.source import Origin, Row, Source, with_answers
from service.ingest import MESSAGES_MAX, PromptLine
from service.openai.words import About, columns

AUTHOR = "uploader"
NOT_PREFERRED = "not_preferred"
TOOLS = ("tools", "functions", "tool_calls", "function_call")


class Example(Said):
    """A message of an example."""

    content: str | None = None
    name: str | None = None
    weight: Literal[0, 1] | None = None

    @field_validator("content", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return joined(value)


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    parallel_tool_calls: bool | None = None
    """OpenAI's own files may carry it; without tools it says nothing."""
    retort: About | None = None
    """What is known about the prompt: reference, verifier, category, source, licence."""


class ChatLine(_Line):
    """A conversation that ends with the answer to learn."""

    messages: list[Example] = Field(min_length=2, max_length=MESSAGES_MAX)


class Input(BaseModel):
    """What both answers of a preference reply to."""

    model_config = ConfigDict(extra="forbid")

    messages: list[Example] = Field(min_length=1, max_length=MESSAGES_MAX)
    parallel_tool_calls: bool | None = None


class PreferenceLine(_Line):
    """A prompt with a better and a worse answer."""

    input: Input
    preferred_output: list[Example] = Field(min_length=1, max_length=1)
    non_preferred_output: list[Example] = Field(min_length=1, max_length=1)


def _row(data: dict[str, Any], line: int, origin: Origin) -> Row:
    _refuse_tools(data)
    if "messages" in data:
        read = ChatLine.model_validate(data)
        asked, answers, places = read.messages[:-1], read.messages[-1:], [f"messages.{len(read.messages) - 1}"]
    else:
        read = PreferenceLine.model_validate(data)
        asked, answers = read.input.messages, [*read.preferred_output, *read.non_preferred_output]
        places = ["preferred_output.0", "non_preferred_output.0"]
    for said, place in zip(answers, places, strict=True):
        if said.role != "assistant":
            raise Unfit(f"{place}.role", f"the answer is the assistant's, and this is the {said.role}'s", "no_answer")
        if not any(said.message().get(name) for name in ("content", "reasoning_content")):
            raise Unfit(f"{place}.content", "the answer is empty", "no_answer")
        if said.weight == 0:
            raise Unfit(f"{place}.weight", "the answer has the weight 0: there is nothing to learn", "no_answer")
    about = {name: value for name, value in columns(read.retort, None).items() if value}
    prompt = PromptLine.model_validate({"messages": [_asked(said) for said in asked]} | about)
    choices = [{"index": index, "message": said.message()} for index, said in enumerate(answers)]
    row = with_answers(prompt, {"choices": choices}, line, origin, messages=[said.message() for said in asked])
    for trace in row["traces"][1:]:
        trace["review"] = {"outcome": Outcome.REJECT.value, "author": AUTHOR, "reason": NOT_PREFERRED}
    return row | {"n": len(answers)}


def _asked(said: Example) -> dict[str, Any]:
    message = said.message()
    return {name: message[name] for name in ("role", "content")}


def _refuse_tools(data: dict[str, Any]) -> None:
    places: list[tuple[str, Any]] = [("", data)]
    for name in ("messages", "preferred_output", "non_preferred_output"):
        found = data.get(name)
        places += [(f"{name}.{place}.", each) for place, each in enumerate(found if isinstance(found, list) else ())]
    for place, held in places:
        if isinstance(held, dict) and (tool := next((name for name in TOOLS if held.get(name)), None)):
            raise Unfit(f"{place}{tool}", "calls of tools are not learnt here: leave the line out", "tools")


FIELDS = {
    (): (*ChatLine.model_fields, *PreferenceLine.model_fields),
    ("input",): tuple(Input.model_fields),
    ("retort",): tuple(About.model_fields),
}
SOURCE = Source(
    "openai_examples",
    "files for OpenAI's fine-tuning: chat examples, preferences",
    _row,
    FIELDS,
    forms=frozenset({Format.JSONL}),
)
