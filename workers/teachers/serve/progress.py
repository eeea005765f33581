"""What the person sees while a model loads: the phase, read from the engine's own log, and the seconds so far."""

import re
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status

PHASES = [
    ("importing the engine", ""),
    ("reading the model's configuration", r"non-default args|Resolved architecture"),
    ("starting the engine", r"Initializing a V\d LLM engine|Starting engine"),
    ("loading weights", r"Starting to load model|Loading safetensors"),
    ("compiling", r"Compiling a graph|Dynamo bytecode transform|torch\.compile takes"),
    ("allocating the KV cache", r"KV cache size|GiB for KV cache"),
    ("capturing CUDA graphs", r"Capturing CUDA graph|Capturing cudagraph"),
    ("opening the port", r"Starting vLLM server|Starting vLLM API server|Uvicorn running"),
]
"""In the order in which vLLM goes through them, with what its log says when each begins."""
_PATTERNS = [re.compile(pattern) if pattern else None for _, pattern in PHASES]


def phase_in(output: str, before: int = 0) -> int:
    """Return the index of the phase that `output` shows to have begun; never one before `before`."""
    later = [index for index, pattern in enumerate(_PATTERNS) if pattern and pattern.search(output)]
    return max([before, *later])


class Progress:
    """A spinner on a terminal; elsewhere a line for each phase."""

    def __init__(self, console: Console, what: str) -> None:
        self._console = console
        self._what = what
        self._start = time.monotonic()
        self._phase = -1
        self._status: Status | None = console.status("") if console.is_terminal else None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    def __enter__(self) -> Self:
        if self._status:
            self._status.start()
        self.output("")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status:
            self._status.stop()

    def output(self, text: str) -> None:
        """Take in new output of the engine."""
        phase = phase_in(text, max(self._phase, 0))
        begun, self._phase = phase != self._phase, phase
        self._show(PHASES[phase][0], begun)

    def step(self, words: str) -> None:
        """Name a phase that the log does not show."""
        self._show(words, True)

    def _show(self, words: str, begun: bool) -> None:
        if self._status:
            self._status.update(f"{self._what}: {words} ({self.elapsed_s:.0f} s)")
        elif begun:
            self._console.print(f"{self._what}: {words} ({self.elapsed_s:.0f} s)", markup=False, highlight=False)
