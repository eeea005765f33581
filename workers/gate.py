"""How many requests a teacher gets at once from this worker."""

import asyncio
from collections import deque

from service.teachers.protocol import TeacherBusy

OVERLOAD = frozenset({"rate_limited", "overloaded", "timeout", "gateway_timeout"})
"""Reasons that fewer requests at once would mend."""
SHARE_MAX, SMOOTHING = 0.2, 0.05
"""Share of such replies, over the last twenty or so, that is too many. Below it they are cheaper to ask again than to
prevent: a gateway that refuses one request in twenty at random would else be asked at a third of its speed."""
CUT, CUT_EVERY_S = 0.7, 1.0
"""An overloaded teacher's limit shrinks to this part, once a second at most: refusals of one moment are one sign."""
REFUSALS_IN_ROW = 16
"""So many without an answer between them, and the teacher is refusing everybody rather than one prompt."""
PAUSE_MAX_S = 60.0
DOWN_MIN_S, DOWN_MAX_S = 0.5, 30.0
"""Wait before the next look at a teacher that is down; doubled each time."""


class Gate:
    """A limit on requests in flight: the teacher's own, less while it says that it is busy, then slowly more again.

    `async with gate:` holds one slot; who waits longest is next. Additive increase, multiplicative decrease, as TCP.
    `room` is set whenever a slot becomes free for which nobody waits.
    """

    def __init__(self, ceiling: int, room: asyncio.Event) -> None:
        self.ceiling = ceiling
        self.limit = float(ceiling)
        self.held = 0
        self._room = room
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._cut_at = self._paused_until = self._look_at = float("-inf")
        self._share = 0.0
        self._refused_in_row = self._down_times = 0

    @property
    def has_room(self) -> bool:
        """Whether another shard's prompts would soon find a free slot: fewer wait than are in flight."""
        return self.held + len(self._waiting) < 2 * self.limit

    @property
    def is_down(self) -> bool:
        """Whether the last look found nobody there."""
        return self._down_times > 0

    @property
    def refuses_all(self) -> bool:
        """Whether nobody has been answered for a while."""
        return self._refused_in_row >= REFUSALS_IN_ROW

    async def __aenter__(self) -> None:
        if not self._waiting and self.held < int(self.limit) and not self._is_paused():
            self.held += 1
            return
        slot = asyncio.get_running_loop().create_future()
        self._waiting.append(slot)
        self._admit()
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def answered(self) -> bool:
        """Note a good answer; return whether the teacher had been down until now."""
        self.limit = min(float(self.ceiling), self.limit + 1 / self.limit)
        self._share -= SMOOTHING * self._share
        self._refused_in_row = 0
        was_down, self._down_times = self.is_down, 0
        return was_down

    def busy(self, error: TeacherBusy) -> None:
        """Note that the teacher could not answer: fewer at once, and none for a while when it refuses everything."""
        now = asyncio.get_running_loop().time()
        if error.reason in OVERLOAD:
            self._share += SMOOTHING * (1 - self._share)
            if self._share > SHARE_MAX and now - self._cut_at >= CUT_EVERY_S:
                self._cut_at = now
                self.limit = max(1.0, self.limit * CUT)
        self._refused_in_row += 1
        if self.refuses_all and error.retry_after_s:
            pause_s = min(error.retry_after_s, PAUSE_MAX_S)
            self._paused_until = now + pause_s
            asyncio.get_running_loop().call_later(pause_s, self._admit)

    def down(self) -> float:
        """Note that nobody is there; return the seconds until the next look, the same for all who looked just now."""
        now = asyncio.get_running_loop().time()
        if now >= self._look_at:
            self._look_at = now + min(DOWN_MAX_S, DOWN_MIN_S * 2.0**self._down_times)
            self._down_times += 1
        return self._look_at - now

    def _is_paused(self) -> bool:
        return self._paused_until > 0 and asyncio.get_running_loop().time() < self._paused_until

    def _leave(self) -> None:
        self.held -= 1
        self._admit()
        if not self._waiting or self.has_room:
            self._room.set()

    def _admit(self) -> None:
        if self._is_paused():
            return
        while self._waiting and self.held < int(self.limit):
            slot = self._waiting.popleft()
            if not slot.done():
                self.held += 1
                slot.set_result(None)
