"""The process that runs verifiers on hostile text: `python -m filters.verifiers.child`, started by `process.Child`.

One line of JSON on stdin is a batch, `[[verifier, response, reference], …]`; each item is answered by one line
`[outcome, reason, detail, evidence]` on what was stdout, so that the parent knows which item is in hand.
"""

import contextlib
import ctypes
import importlib
import json
import logging
import os
import resource
import signal
import sys
from typing import TextIO

from filters.verdict import Verdict, abstain
from filters.verifiers import Verifier, judge

READY = "ready"
_PR_SET_PDEATHSIG = 1
_STDERR_BYTES_MAX = 1 << 20


def load(registry: str) -> dict[str, Verifier]:
    """Import `package.module:NAME`."""
    module, _, name = registry.partition(":")
    return getattr(importlib.import_module(module), name)


def main() -> None:
    """Answer batches until stdin ends."""
    registry, memory_bytes, parent = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    replies = _take_stdout()
    _restrict(memory_bytes, parent)
    verifiers = load(registry)
    _warm_up(verifiers)
    _send(replies, READY)
    for line in sys.stdin:
        for name, response, reference in json.loads(line):
            verdict = _judge(verifiers[name], response, reference)
            _send(replies, [verdict.outcome, verdict.reason, verdict.detail, verdict.evidence])


def _take_stdout() -> TextIO:
    """Keep the pipe for replies alone: whatever a verifier prints goes to stderr."""
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    return replies


def _restrict(memory_bytes: int, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides when we end
    with contextlib.suppress(ValueError):  # macOS knows the limit and refuses to set it
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_STDERR_BYTES_MAX, _STDERR_BYTES_MAX))
    logging.disable(logging.CRITICAL)
    if sys.platform == "linux":
        # A long operation in C never reads the end of stdin; the kernel kills us even then.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the parent died while this process started")


def _warm_up(verifiers: dict[str, Verifier]) -> None:
    """Load and compile what the first item would otherwise pay for out of its own time."""
    for verifier in verifiers.values():
        _judge(verifier, *getattr(verifier, "EXAMPLE", (r"\boxed{x + 1}", "1 + x")))


def _judge(verifier: Verifier, response: str, reference: str) -> Verdict:
    try:
        return judge(verifier, response, reference)
    except Exception as error:  # noqa: BLE001 - whatever broke, it is our failure and never the response's
        return abstain("verifier_error", f"{type(error).__name__}: {error}"[:500])


def _send(replies: TextIO, message: object) -> None:
    replies.write(json.dumps(message, default=str) + "\n")
    replies.flush()


if __name__ == "__main__":
    main()
