"""Showing a teacher an answer that it gave before, to learn how likely it holds every token of it.

vLLM scores what it is given as a prompt (`prompt_logprobs`), so the answer's exact token ids are needed. Where the raw
message kept them they are used; else the text is put together as the teacher wrote it and split into tokens again, and
counts only if that gives as many tokens as were generated: a model may sample a text in other pieces than a tokenizer
would cut it into, and labels for tokens that were never chosen would teach something else.
"""

from collections.abc import Mapping
from typing import Any

import orjson
import zstandard

from service.soft_labels import TopK
from service.store.rescoring import Unlabelled
from service.teachers.logprobs import of_prompt
from service.teachers.protocol import TeacherRefused
from service.teachers.reasoning import PAIRS
from workers.teachers.openai_http import OpenAITeacher

RENDERING = ("chat_template_kwargs", "chat_template", "tools", "add_generation_prompt", "continue_final_message")
"""Fields of a request that change how its messages are written out."""
STOP_LOGPROB_MIN = -16.0
"""Less likely than this (1e-7) nobody stops: the token that ends a turn in the template is not the one that was chosen.
"""


class CannotScore(Exception):
    """Why one trace gets no soft labels; the reason is a stable snake_case code.

    `retokenized_differently`, `prompt_retokenized_differently`, `token_count_unknown`, `has_tool_calls`, `no_text`,
    `stop_token_unknown`, `no_prompt_logprobs`.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


class Scorer:
    """Scores traces through one server. `trusts_ids`: token ids in the raw messages are this teacher's own."""

    def __init__(self, client: OpenAITeacher, *, trusts_ids: bool) -> None:
        self.client, self._trusts_ids = client, trusts_ids
        self._tags: tuple[str, str] | None = None
        self._turn_end: list[int] | None = None
        """The token that ends a turn, empty where the template has none; None while not asked for."""

    async def labels(self, trace: Unlabelled, k: int) -> TopK:
        """Return the soft labels of a trace. Raises CannotScore, TeacherBusy or TeacherRefused."""
        raw: dict[str, Any] = orjson.loads(zstandard.decompress(trace.raw)) if trace.raw else {}
        prompt = await self._prompt(trace)
        completion, guessed_stop = await self._completion(trace, raw)
        ids = prompt + completion
        asked = {"prompt": ids, "prompt_logprobs": k, "max_tokens": 1, "temperature": 0}
        reply = await self.client.post("/v1/completions", asked)
        try:
            found = of_prompt(reply["choices"][0].get("prompt_logprobs"), ids, start=len(prompt), k=k)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise CannotScore("no_prompt_logprobs", f"the server does not score prompts: {error}") from error
        if guessed_stop and found.logprobs[-1, 0] < STOP_LOGPROB_MIN:
            raise CannotScore("stop_token_unknown", f"token {completion[-1]} has logprob {found.logprobs[-1, 0]:.1f}")
        return found

    async def _prompt(self, trace: Unlabelled) -> list[int]:
        rendering = {name: trace.asked[name] for name in RENDERING if trace.asked.get(name) is not None}
        ids = await self._tokens({"messages": trace.messages, "add_generation_prompt": True} | rendering)
        if trace.prompt_tokens not in {None, len(ids)}:
            detail = f"{len(ids)} tokens, {trace.prompt_tokens} when it was asked"
            raise CannotScore("prompt_retokenized_differently", detail)
        return ids

    async def _completion(self, trace: Unlabelled, raw: Mapping[str, Any]) -> tuple[list[int], bool]:
        """Return the tokens of an answer, and whether the last one is what the template ends turns with."""
        kept = raw.get("token_ids")
        if self._trusts_ids and isinstance(kept, list) and len(kept) == trace.completion_tokens:
            return kept, False
        if trace.completion_tokens is None:
            raise CannotScore("token_count_unknown", "the teacher did not say how many tokens this one answer had")
        stop = raw.get("stop_reason")
        end: list[int] = []
        if trace.finish_reason == "stop":
            end = [stop] if isinstance(stop, int) else await self._end_of_turn() if stop is None else []
        counts = []
        for text in self._written(raw.get("message"), await self._reasoning_tags()):
            text += stop if isinstance(stop, str) else ""
            ids = await self._tokens({"prompt": text, "add_special_tokens": False}) + end
            if len(ids) == trace.completion_tokens:
                return ids, bool(end) and stop is None
            counts.append(str(len(ids)))
        detail = f"{' or '.join(dict.fromkeys(counts))} tokens, {trace.completion_tokens} when it was generated"
        raise CannotScore("retokenized_differently", detail)

    @staticmethod
    def _written(message: Any, tags: tuple[str, str]) -> list[str]:
        """Return the texts that a teacher may have written for this message, before a parser took it apart.

        Their numbers of tokens differ by those of the tags, so that at most one of them has as many as there were.
        """
        if not isinstance(message, dict) or message.get("tool_calls"):
            raise CannotScore("has_tool_calls" if isinstance(message, dict) else "no_text")
        reasoning = message.get("reasoning") or message.get("reasoning_content") or ""
        content = message.get("content") or ""
        if not isinstance(reasoning, str) or not isinstance(content, str) or not reasoning + content:
            raise CannotScore("no_text", "the message is no plain text")
        if not reasoning:
            return [content]
        opening, closing = tags
        whole = [f"{opening}{reasoning}{closing}{content}", f"{reasoning}{closing}{content}"]
        # Without content it was cut off inside the reasoning, or never had tags.
        return whole if content else [f"{opening}{reasoning}", reasoning, *whole]

    async def _reasoning_tags(self) -> tuple[str, str]:
        """Return the tags that this teacher knows as tokens of their own; `<think>` where it knows none."""
        if self._tags is None:
            found = next(iter(PAIRS.items()))
            for opening, closing in PAIRS.items():
                if len(await self._tokens({"prompt": closing, "add_special_tokens": False})) == 1:
                    found = opening, closing
                    break
            self._tags = found
        return self._tags

    async def _end_of_turn(self) -> list[int]:
        """Return the token that ends a turn: the first of those that follow whatever an assistant says."""
        if self._turn_end is None:
            try:
                one, other = [await self._turn(said) for said in ("end", "stop")]
            except TeacherRefused as refused:
                if refused.whole_teacher:
                    raise
                one, other = [], []  # a template that refuses such a conversation
            same = 0
            while same < min(len(one), len(other)) and one[-1 - same] == other[-1 - same]:
                same += 1
            self._turn_end = [one[-same]] if same else []
        return self._turn_end

    async def _turn(self, said: str) -> list[int]:
        messages = [{"role": "user", "content": "begin"}, {"role": "assistant", "content": said}]
        return await self._tokens({"messages": messages, "add_generation_prompt": False})

    async def _tokens(self, asked: dict[str, Any]) -> list[int]:
        reply = await self.client.post("/tokenize", asked)
        ids = reply.get("tokens") if isinstance(reply, dict) else None
        if not isinstance(ids, list):
            raise TeacherRefused("unknown_path", "the server's /tokenize gives no tokens")
        return ids
