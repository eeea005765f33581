"""Whoever started the run: hears its events, one JSON object a line, and may ask it to stop."""

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from trainer.errors import Interrupted

PR_SET_PDEATHSIG = 1
Listener = Callable[[dict[str, Any]], None]


class Supervisor:
    """Events go to a stream, to `events.jsonl` of the run's folder and to a listener, whichever are there.

    Under torchrun every process has one; only the first of them speaks.
    """

    def __init__(self, stream: TextIO | None = None, listener: Listener | None = None) -> None:
        self.stop_asked = False
        self._stream, self._listener = stream, listener
        self._log: Path | None = None
        self._deferred = False

    def log_to(self, folder: Path) -> None:
        """From now on append events to the folder's `events.jsonl`."""
        self._log = folder / "events.jsonl"

    def emit(self, event: str, **values: Any) -> None:
        """Tell of one event; values must be JSON."""
        if not is_main_process():
            return
        told = {"event": event, "at": round(time.time(), 3), **values}
        line = json.dumps(told, ensure_ascii=False) + "\n"
        if self._log is not None:
            with self._log.open("a", encoding="utf-8") as file:
                file.write(line)
        if self._stream is not None:
            self._stream.write(line)
            self._stream.flush()
        if self._listener is not None:
            self._listener(told)

    def listen_for_signals(self) -> None:
        """Take SIGTERM and Ctrl-C as the request to stop; Python allows this in the main thread alone."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: object) -> None:
        self.stop_asked = True
        if not self._deferred:
            raise Interrupted(signal.Signals(number).name)

    @contextmanager
    def deferring(self) -> Iterator[None]:
        """Within, a request to stop only sets `stop_asked`: the training finishes its step and saves first."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False


def die_with_launcher() -> None:
    """Under torchrun or accelerate, be killed by the kernel when that dies: a worker that is killed kills only it."""
    if "LOCAL_RANK" in os.environ and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def is_main_process() -> bool:
    """Tell whether this process may write and speak: the only one, or the first of several under torchrun."""
    return os.environ.get("RANK", "0") == "0"
