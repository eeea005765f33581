"""A teacher on a vLLM server, that is asked how likely it had held each token of the student's answers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from trl.generation.vllm_client import VLLMClient
from urllib3.util import Retry

from trainer.base import Base
from trainer.errors import TrainerError

KEY_VARIABLE = "RETORT_TEACHER_API_KEY"
"""Holds the server's key; the worker sets it to that of the registered teacher."""
RETRIES = Retry(
    total=6,
    read=1,
    backoff_factor=2,  # 0, 4, 8, 16, 32, 64 s: about as long as a server takes to come back
    status_forcelist=[429, 500, 502, 503, 504],
    allowed_methods=["GET", "POST"],
    raise_on_status=False,  # the reply says more
)
ANSWER_S = (10, 600)
"""To connect, and to score the answers of one batch."""


class ServedTeacher(VLLMClient):
    """TRL's client, with an API key, a model by name, and refusals that say what to do."""

    def __init__(self, address: str, key: str | None, retries: Retry) -> None:
        """Not TRL's: that one waits for good where /health is not 200, asks without a key and takes the first model."""
        self.base_url = address.rstrip("/").removesuffix("/v1")
        self.session = requests.Session()
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, HTTPAdapter(max_retries=retries))
        if key is not None:
            self.session.headers["Authorization"] = f"Bearer {key}"
        self.model = ""

    def pick(self, teacher: str) -> dict[str, Any]:
        """Choose the model served under this name or from this folder or hub id, or the only one; return its entry.

        Raises TrainerError `teacher_unreachable`, `teacher_refused`, `teacher_not_scoring`, `teacher_not_served`.
        """
        with self._readable("/v1/models"):
            entries = self._get(f"{self.base_url}/v1/models")["data"]
            named = [entry for entry in entries if teacher in (entry["id"], entry.get("root"))]
        chosen = next(iter(named or (entries if len(entries) == 1 else [])), None)
        if chosen is None:
            served = ", ".join(entry["id"] for entry in entries)
            raise TrainerError(
                "teacher_not_served", f"{self.base_url} serves {served}, and none of them is `teacher`, {teacher}"
            )
        self.model = chosen["id"]
        return chosen

    def probe(self, tokens: list[int], entries: int, temperature: float) -> None:
        """Score these tokens, so that a server which cannot do it is known before the training.

        Raises TrainerError `teacher_refused`, `teacher_unreachable`, `teacher_not_scoring`, or `teacher_temperature`
        where it gives logprobs at temperature 1 only.
        """
        asked = self._likely(tokens, entries, temperature)
        if temperature != 1 and asked == self._likely(tokens, entries, 1.0):
            raise TrainerError(
                "teacher_temperature",
                f"{self.base_url} tells logprobs at temperature 1, whatever it is asked. Start it with "
                "`--logprobs-mode processed_logprobs`, or train with `temperature=1`",
            )

    def get_sequence_logprobs(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As TRL's; raises TrainerError `teacher_not_scoring` where the reply lacks what TRL reads."""
        with self._readable("/v1/completions"):
            return super().get_sequence_logprobs(*args, **kwargs)

    @contextmanager
    def _readable(self, path: str) -> Iterator[None]:
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise TrainerError(
                "teacher_not_scoring",
                f"{self.base_url}{path} answers as vLLM does not ({type(error).__name__}: {error}): "
                "only a vLLM server tells the logprobs of given tokens (`prompt_logprobs`)",
            ) from error

    def _likely(self, tokens: list[int], entries: int, temperature: float) -> list[Any]:
        return self.get_sequence_logprobs([tokens], [1], entries, temperature)["logprobs"][0]

    def _get(self, url: str, **kwargs: Any) -> dict[str, Any]:
        return self._send("GET", url, **kwargs)

    def _post(self, url: str, **kwargs: Any) -> dict[str, Any]:
        return self._send("POST", url, **kwargs)

    def _send(self, method: str, url: str, **kwargs: Any) -> dict[str, Any]:
        try:
            reply = self.session.request(method, url, timeout=ANSWER_S, **kwargs)
            if reply.ok:
                return reply.json()
        except requests.RequestException as error:
            told = f"the teacher at {self.base_url} does not answer: {error}"
            raise TrainerError("teacher_unreachable", told) from error
        hints = {401: f" Put its key into {KEY_VARIABLE}.", 404: " Is it a vLLM server?"}
        hint = hints.get(reply.status_code, "")
        if "logprobs" in reply.text:
            hint = " Start it with `--max-logprobs` as large as `top_k`, or lower `top_k`."
        raise TrainerError(
            "teacher_refused", f"{self.base_url} answers {reply.status_code}: {reply.text[:500].strip()}{hint}"
        )


def open_served(address: str, teacher: Base, positions: int, retries: Retry = RETRIES) -> ServedTeacher:
    """Find the teacher on the server and see that sequences of so many `positions` fit.

    Raises TrainerError `teacher_too_short`, and what `ServedTeacher.pick` does.
    """
    served = ServedTeacher(address, os.environ.get(KEY_VARIABLE), retries)
    room = served.pick(teacher.name).get("max_model_len")
    if room is not None and room <= positions:
        raise TrainerError(
            "teacher_too_short",
            f"{address} takes {room:,} tokens, and prompt, reply and the one it must add come to {positions + 1:,}: "
            "start it with a larger `--max-model-len`, or lower `reply_tokens_max`",
        )
    return served
