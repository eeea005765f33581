"""A pool of killable processes, for verifiers that model-written text can make run for ever.

The parent enforces a hard time for each item by SIGKILL, replaces the child and goes on; the order of verdicts is kept.
Works from any thread. Children end with the parent: their stdin closes, and on Linux the kernel kills them.
"""

import hashlib
import os
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from multiprocessing.connection import wait
from typing import Self, cast

from filters.verdict import Verdict, abstain
from filters.verifiers.child import load
from filters.verifiers.process import START_TIMEOUT_S, Child, Job
from filters.verifiers.staff import MEMORY_BYTES, REGISTRY, Staff, lent

Item = tuple[str, str, str]
"""Verifier, response, reference."""

PROCESSES_MAX = 8
"""Beyond this memory (some 100 MB a process) is dearer than time, and the cores seen may not all be ours."""
READ_AHEAD = 1024
"""Items read beyond the oldest undecided one: enough that one slow item does not hold up the children."""
READ_AHEAD_CHARS = 32_000_000
"""… or texts of this length in all, where verifiers need whole responses."""
BATCH = 16
"""Items in one message: the pipe's cost vanishes beside a few ms for each item."""
TRIES = 2
"""A child that dies by itself (out of memory, a bug in C) may not have died of its item; twice is no accident."""
REMEMBERED = 4096
"""Verdicts kept for equal items: the n answers to one prompt stand close together."""


class PoolError(RuntimeError):
    """A child could not be started at all: nothing can be judged."""


class Pool:
    """Children that judge; started as they are needed, ended by `close()` or the end of a `with` block.

    Where a `Staff` was lent to this thread, they are hired from it and go back to it.
    """

    def __init__(
        self,
        *,
        timeout_s: float = 5.0,
        processes: int | None = None,
        memory_bytes: int = MEMORY_BYTES,
        registry: str = REGISTRY,
    ):
        self.timeout_s = timeout_s
        self.processes = processes or min(PROCESSES_MAX, _cores())
        self._verifiers = load(registry)
        lender = lent(registry, memory_bytes)
        self._staff = lender or Staff(registry, memory_bytes)
        self._borrowed = lender is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all idle children that are its own; those in use end with the generator that uses them."""
        if not self._borrowed:
            self._staff.dismiss()

    def verify(self, verifier: str, response: str, reference: str) -> Verdict:
        """Judge one response."""
        return next(self.verify_many([(verifier, response, reference)]))

    def verify_many(self, items: Iterable[Item | Verdict]) -> Iterator[Verdict]:
        """Yield one verdict for each item, in order; a verdict among the items is passed on in its place.

        Reads ahead at most `READ_AHEAD` items, and not at all while verdicts come at once. Time out, crash and
        exception become abstentions (`verifier_timeout`, `verifier_error`). Raises KeyError for an unknown verifier and
        `PoolError` if no child starts.
        """
        source = iter(items)
        window: deque[Job] = deque()
        held = 0
        team = _Team(self)
        try:
            exhausted = False
            while True:
                while window and (verdict := window[0].verdict) is not None:
                    held -= window.popleft().size
                    yield verdict
                if not exhausted and len(window) < READ_AHEAD and held < READ_AHEAD_CHARS:
                    try:
                        item = next(source)
                    except StopIteration:
                        exhausted = True
                        continue
                    window.append(team.take(item))
                    held += window[-1].size
                elif window:
                    team.work()
                else:
                    return
        finally:
            team.disband()


class _Team:
    """The children of one `verify_many`, and the jobs waiting for them."""

    def __init__(self, pool: Pool):
        self._pool = pool
        self._children: list[Child] = []
        self._todo: deque[Job] = deque()
        self._known: OrderedDict[bytes, Job] = OrderedDict()

    def take(self, item: Item | Verdict) -> Job:
        """Decide the item at once, recognise it as equal to one seen, or put it to the children."""
        if isinstance(item, Verdict):
            return Job(verdict=item)
        name, response, reference = item
        quick = getattr(self._pool._verifiers[name], "quick", None)
        try:
            part = quick(response, reference) if quick else response
        except Exception as error:  # noqa: BLE001 - whatever broke, it is our failure and never the response's
            part = abstain("verifier_error", f"{type(error).__name__}: {error}"[:500])
        if isinstance(part, Verdict):
            return Job(verdict=part)
        job = self._recall((name, part, reference))
        if len(self._todo) >= BATCH:
            self.work(wait_s=0)
        return job

    def _recall(self, item: Item) -> Job:
        key = hashlib.blake2b(repr(item).encode(errors="surrogatepass"), digest_size=16).digest()
        job = self._known.get(key)
        if job is None:
            job = self._known[key] = Job(item)
            self._todo.append(job)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return job

    def work(self, wait_s: float | None = None) -> None:
        """Hand out what waits, wait for replies or the next deadline, and kill what has taken too long."""
        self._hand_out()
        deadlines = [child.deadline(self._pool.timeout_s) for child in self._children]
        if wait_s is None:
            wait_s = max(0.0, min(at for at in deadlines if at is not None) - time.monotonic())
        by_pipe = {child.fileno(): child for child in self._children}
        for pipe in wait(list(by_pipe), wait_s):
            child = by_pipe[cast(int, pipe)]
            if not child.receive():
                self._bury(child)
        now = time.monotonic()
        for child in list(self._children):
            deadline = child.deadline(self._pool.timeout_s)
            if deadline is not None and deadline <= now:
                self._expire(child)

    def _hand_out(self) -> None:
        wanted = min(self._pool.processes, -(-len(self._todo) // 4))
        while len(self._children) < wanted:
            self._children.append(self._pool._staff.hire())
        free = [child for child in self._children if child.ready and not child.jobs]
        for child in free:
            share = min(BATCH, -(-len(self._todo) // len(self._children)))
            if share:
                child.send([self._todo.popleft() for _ in range(share)])

    def _expire(self, child: Child) -> None:
        if not child.ready:
            raise PoolError(f"not ready within {START_TIMEOUT_S:g} s: {self._dismiss(child)}")
        child.jobs.popleft().settle(abstain("verifier_timeout", f"no verdict within {self._pool.timeout_s:g} s"))
        self._dismiss(child)

    def _bury(self, child: Child) -> None:
        """Deal with a child that died by itself: its item gets one more try in a fresh process."""
        in_hand = child.jobs[0] if child.jobs else None
        last_words = self._dismiss(child)
        if not child.ready:
            raise PoolError(last_words)
        if in_hand is None:
            return
        in_hand.tries += 1
        if in_hand.tries >= TRIES:
            self._todo.popleft().settle(abstain("verifier_error", last_words))

    def _dismiss(self, child: Child) -> str:
        """Kill a child and put the jobs it still holds back to the front of the queue."""
        self._children.remove(child)
        self._todo.extendleft(reversed(child.jobs))
        return child.kill()

    def disband(self) -> None:
        """Give idle children back to the pool; end those that are still at work for nobody."""
        for child in self._children:
            if child.ready and not child.jobs:
                self._pool._staff.release(child)
            else:
                child.kill()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
