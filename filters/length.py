"""Filter `length`: too short to teach, too long to fit, cut off by the teacher's token limit."""

from typing import Literal

from pydantic import NonNegativeInt, PositiveInt

from filters.base import Filter
from filters.sample import Sample
from filters.verdict import KEEP, Verdict, abstain, reject


class Length(Filter):
    """Reject answers too short to teach or too long to fit the student."""

    kind: Literal["length"] = "length"
    tokens_min: PositiveInt = 16
    """Shorter answers are usually refusals or greetings."""
    tokens_max: PositiveInt = 8192
    """Match the student's context, or SFT cuts the answer off. Reasoning and response count together."""
    response_chars_min: NonNegativeInt = 1
    """An answer that is all reasoning and no response teaches the student to stop there."""
    response_chars_max: PositiveInt | None = None
    """The response alone, without reasoning; counted in characters, because teachers count tokens of both together."""

    def check(self, sample: Sample) -> Verdict:
        """Judge what can be judged without token counts first; abstain where the teacher told none."""
        if sample.finish_reason == "length":
            return reject("truncated", "the teacher hit its token limit")
        response_chars = len(sample.response.strip())
        if response_chars < self.response_chars_min:
            return reject("response_too_short", f"{response_chars} < {self.response_chars_min} characters")
        if self.response_chars_max is not None and response_chars > self.response_chars_max:
            return reject("response_too_long", f"{response_chars} > {self.response_chars_max} characters")
        if sample.completion_tokens is None:
            return abstain("tokens_unknown", "the teacher did not say how many tokens it wrote")
        if sample.completion_tokens < self.tokens_min:
            return reject("too_short", f"{sample.completion_tokens} < {self.tokens_min} tokens")
        if sample.completion_tokens > self.tokens_max:
            return reject("too_long", f"{sample.completion_tokens} > {self.tokens_max} tokens")
        return KEEP
