"""Children that judge, ready to be hired: kept by one pool, or by whoever judges a few items again and again.

staff = Staff()
with staff.lent():
    …  # every filter that judges in this thread hires from it; starting a child takes a second or more
staff.dismiss()
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar

from filters.verifiers.process import Child

REGISTRY = "filters.verifiers:VERIFIERS"
MEMORY_BYTES = 2 << 30
CHILD_ITEMS_MAX = 5000
"""sympy's caches grow; a fresh process every few thousand items keeps memory flat."""
IDLE_MAX = 8
"""Kept for the next: some 100 MB each."""
IDLE_S = 300.0
"""Nobody came for so long: the memory is better used elsewhere."""


class Staff:
    """Idle children, and the thread that starts new ones."""

    def __init__(self, registry: str = REGISTRY, memory_bytes: int = MEMORY_BYTES, idle_s: float = IDLE_S):
        self.registry, self.memory_bytes = registry, memory_bytes
        self._idle_s = idle_s
        self._idle: list[Child] = []
        self._closed = False
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        # The kernel ends a child with the *thread* that started it, so one thread that lives as long as the staff does.
        self._starter = ThreadPoolExecutor(1, "verifier-starter")

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Let the pools that are made in this thread meanwhile hire from here."""
        token = _LENT.set(self)
        try:
            yield
        finally:
            _LENT.reset(token)

    def hire(self) -> Child:
        """Return an idle child, or a new one."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._starter.submit(Child, self.registry, self.memory_bytes).result()

    def release(self, child: Child) -> None:
        """Take back a child that has nothing to do."""
        with self._lock:
            keep = child.judged < CHILD_ITEMS_MAX and not self._closed and len(self._idle) < IDLE_MAX
            if keep:
                self._idle.append(child)
                self._wait()
        if not keep:
            child.kill()

    def rest(self) -> None:
        """End all idle children; others are started when they are needed."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.kill()

    def dismiss(self) -> None:
        """End all idle children for good; those at work end once they are released."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
        self.rest()
        self._starter.shutdown()

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(self._idle_s, self.rest)
        self._timer.daemon = True
        self._timer.start()


_LENT: ContextVar[Staff | None] = ContextVar("lent", default=None)


def lent(registry: str, memory_bytes: int) -> Staff | None:
    """Return the staff that was lent to this thread, if it is of this kind."""
    staff = _LENT.get()
    same = staff is not None and (staff.registry, staff.memory_bytes) == (registry, memory_bytes)
    return staff if same else None
