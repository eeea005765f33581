"""A person with the stock `openai` SDK: uploads a batch, looks at it now and then, reads its output file."""

import threading
import time
from typing import Any

import orjson
from openai import APIConnectionError, APIStatusError, OpenAI

TEACHER = "teacher"
PATIENCE = 60
"""Tries of one request; the SDK waits up to 8 s between two."""
POLL_S = 0.5


class Customer(threading.Thread):
    """Runs until the output file is read; `phase` tells how far that is, `trouble` why it ended before."""

    def __init__(self, url: str, lines: int) -> None:
        super().__init__(daemon=True)
        self.phase = "beginning"
        self.trouble = self.batch_id = self.status = ""
        self.completed = self.retries = self.early_doubles = self.mixed_up = 0
        self.counts = (0, 0)
        self.prompts = {f"line-{number}": f"What is {number} plus {number * 7 % 91}?" for number in range(lines)}
        self.wanted = set(self.prompts)
        self.found: list[str] = []
        self._sdk = OpenAI(base_url=f"{url}/v1", api_key="EMPTY", timeout=60, max_retries=5)

    def run(self) -> None:
        """Do what a user does."""
        try:
            self._work()
        except Exception as error:  # noqa: BLE001  whatever it is, the page at the end says so
            self.trouble = repr(error)

    def _work(self) -> None:
        asked = b"".join(self._line(custom_id, text) for custom_id, text in self.prompts.items())
        self.phase = "uploading"
        file = self._patiently(self._sdk.files.create, file=("prompts.jsonl", asked), purpose="batch")
        once = {"Idempotency-Key": f"torture-{time.time_ns()}"}
        self.phase = "submitting"
        wanted = {"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        self.batch_id = self._patiently(self._sdk.batches.create, **wanted, extra_headers=once).id
        self.phase = "waiting"
        looked = False
        while (batch := self._patiently(self._sdk.batches.retrieve, self.batch_id)).status == "in_progress":
            self.completed = batch.request_counts.completed
            if not looked and self.completed > len(self.prompts) / 2:
                looked = True
                early = self._read(batch.output_file_id)
                self.early_doubles = len(early) - len({custom_id for custom_id, _ in early})
            time.sleep(POLL_S)
        self.phase = "reading"
        self.status, counts = batch.status, batch.request_counts
        self.completed, self.counts = counts.completed, (counts.completed, counts.failed)
        answers = self._read(batch.output_file_id)
        self.found = [custom_id for custom_id, _ in answers]
        self.mixed_up = sum(self.prompts.get(custom_id) != said for custom_id, said in answers)

    def _read(self, file_id: str) -> list[tuple[str, str]]:
        """Return the lines of an output file as `custom_id` and response."""
        rows = map(orjson.loads, self._patiently(self._sdk.files.content, file_id).content.splitlines())
        return [(row["custom_id"], row["response"]["body"]["choices"][0]["message"]["content"]) for row in rows]

    @staticmethod
    def _line(custom_id: str, text: str) -> bytes:
        body = {"model": TEACHER, "messages": [{"role": "user", "content": text}]}
        line = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
        return orjson.dumps(line) + b"\n"

    def _patiently(self, ask: Any, *args: Any, **options: Any) -> Any:
        """Return what a request brings, asked again as long as the server is away or in trouble."""
        for left in reversed(range(PATIENCE)):
            try:
                return ask(*args, **options)
            except (APIConnectionError, APIStatusError) as error:
                lasting = isinstance(error, APIStatusError) and error.status_code < 500 and error.status_code != 409
                if lasting or not left:
                    raise
                self.retries += 1
                time.sleep(POLL_S)
        raise AssertionError
