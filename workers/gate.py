"""How many requests a teacher gets at once from this worker, and which of its servers gets the next one."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from time import monotonic
from types import TracebackType
from typing import Self

from service.teachers.protocol import Completion, TeacherBusy

OVERLOAD = frozenset({"rate_limited", "overloaded", "timeout", "gateway_timeout"})
"""Reasons that fewer requests at once would mend."""
SHARE_MAX, SHARE_SMOOTHING = 0.2, 0.02
"""Share of such replies, over the last fifty or so, that is too many. Below it they are cheaper to ask again than to
prevent: a gateway that refuses one request in twenty at random would else be asked at a third of its speed. Over the
last twenty only, chance alone would cut such a gateway every few seconds."""
PACE_SMOOTHING, PACE_SLACK = 0.05, 1.1
"""Answers come as fast as before while they take at most a tenth longer than when the limit was cut: less is noise."""
CUT, CUT_EVERY_S = 0.7, 1.0
"""An overloaded server's limit shrinks to this part, once a second at most: refusals of one moment are one sign."""
REFUSALS_IN_ROW = 16
"""So many without an answer between them, and the server is refusing everybody rather than one prompt."""
PAUSE_MAX_S = 60.0
TRIALS_MAX = 16
"""Requests at once that find out whether a server is back: one that it refuses for its own sake must not decide."""
DOWN_MIN_S, DOWN_MAX_S = 0.5, 10.0
"""Wait before the next look at a server that is down; doubled each time."""


class Lane:
    """One server of a teacher: a limit on its requests in flight, and what is known about how it bears them.

    The limit is the teacher's own, less while the server says that it is busy, then slowly more again as long as its
    answers come no slower than when it was cut. Additive increase, multiplicative decrease, as TCP.
    """

    def __init__(self, address: str, ceiling: int) -> None:
        self.address, self.ceiling = address, ceiling
        self.limit = float(ceiling)
        self.held = 0
        self._clock = self._ticked = 0.0
        self._cut_at = self._paused_until = self._look_at = float("-inf")
        self._share = self._pace = 0.0
        self._pace_bearable = float("inf")
        self._refused_in_row = self._down_times = 0

    @property
    def is_down(self) -> bool:
        """Whether the last look found nobody there."""
        return self._down_times > 0

    @property
    def refuses_all(self) -> bool:
        """Whether nobody has been answered for a while."""
        return self._refused_in_row >= REFUSALS_IN_ROW

    def slots(self) -> int:
        """Return how many requests it may have now: none while it pauses, a few to see whether it is back."""
        now = monotonic()
        if now < self._paused_until or now < self._look_at:
            return 0
        return min(TRIALS_MAX, int(self.limit)) if self.is_down else int(self.limit)

    def enter(self) -> float:
        """Take a slot; return the server's clock, which `leave` wants."""
        self._tick()
        self.held += 1
        return self._clock

    def leave(self, entered: float) -> float:
        """Give a slot back; return the seconds of the server's time that were this request's.

        Requests in flight together share the time evenly, so that the shares of all add up to the time it was busy.
        """
        self._tick()
        self.held -= 1
        return self._clock - entered

    def answered(self, completions: Sequence[Completion]) -> bool:
        """Note a good answer; return whether the server had been down until now."""
        tokens = max([each.completion_tokens or 0 for each in completions])
        pace = completions[0].latency_ms / (tokens or 1)
        self._pace += PACE_SMOOTHING * (pace - self._pace) if self._pace else pace
        if self._pace <= self._pace_bearable:
            self.limit = min(float(self.ceiling), self.limit + 1 / self.limit)
        self._share -= SHARE_SMOOTHING * self._share
        self._refused_in_row = 0
        was_down, self._down_times = self.is_down, 0
        return was_down

    def busy(self, error: TeacherBusy) -> None:
        """Note that the server could not answer: fewer at once, and none for a while when it refuses everything."""
        now = monotonic()
        if error.reason in OVERLOAD:
            self._share += SHARE_SMOOTHING * (1 - self._share)
            if self._share > SHARE_MAX and now - self._cut_at >= CUT_EVERY_S:
                self._cut_at = now
                self.limit = max(1.0, self.limit * CUT)
                self._pace_bearable = PACE_SLACK * self._pace or float("inf")
        self._refused_in_row += 1
        if self.refuses_all and error.retry_after_s:
            self._paused_until = now + min(error.retry_after_s, PAUSE_MAX_S)

    def down(self) -> None:
        """Note that nobody is there; those who looked in the same moment count as one look."""
        now = monotonic()
        if now >= self._look_at:
            self._look_at = now + min(DOWN_MAX_S, DOWN_MIN_S * 2.0**self._down_times)
            self._down_times += 1

    def waits_s(self) -> float:
        """Return the seconds until it may be asked again, 0 where it may be now."""
        return max(0.0, max(self._paused_until, self._look_at) - monotonic())

    def _tick(self) -> None:
        now = monotonic()
        if self.held:
            self._clock += (now - self._ticked) / self.held
        self._ticked = now


Place = tuple[Lane, float]
"""A lane, and its server's clock when the place in flight was taken."""


class Gate:
    """The lanes of one teacher, and one queue before them. `async with gate.slot() as slot` holds one of `slot.lane`.

    Who waits longest is next, and goes to the lane that is least full. `room` is set whenever a slot becomes free for
    which nobody waits.
    """

    def __init__(self, room: asyncio.Event, lanes: Iterable[Lane] = ()) -> None:
        self.lanes = list(lanes)
        self._room = room
        self._waiting: deque[asyncio.Future[Place]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def has_room(self) -> bool:
        """Whether another shard's prompts would soon find a free slot: fewer wait than are in flight."""
        wanted, room = len(self._waiting), 0.0
        for lane in self.lanes:
            wanted += lane.held
            room += 0.0 if lane.is_down else 2 * lane.limit
        return wanted < room

    @property
    def is_down(self) -> bool:
        """Whether the last look found nobody at any of the servers."""
        return all(lane.is_down for lane in self.lanes)

    def waits_s(self) -> float:
        """Return the seconds until the first of the servers may be asked again."""
        return min(lane.waits_s() for lane in self.lanes)

    def slot(self) -> "Slot":
        """Return a slot to be held by `async with`."""
        return Slot(self)

    async def enter(self) -> Place:
        """Wait for a place in flight."""
        if not self._waiting and (lane := self._freest()):
            return lane, lane.enter()
        place: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._admit()
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave(*place.result())
            raise

    def leave(self, lane: Lane, entered: float) -> float:
        """Give a place back; return the seconds of the server's time that were this request's."""
        busy_s = lane.leave(entered)
        if self._waiting:
            self._admit()
        if not self._waiting or self.has_room:
            self._room.set()
        return busy_s

    def _freest(self) -> Lane | None:
        freest = None
        for lane in self.lanes:
            if lane.held < lane.slots() and (freest is None or lane.held / lane.limit < freest.held / freest.limit):
                freest = lane
        return freest

    def _admit(self) -> None:
        while self._waiting:
            lane = self._freest()
            if lane is None:
                self._look_again()
                return
            place = self._waiting.popleft()
            if not place.done():
                place.set_result((lane, lane.enter()))

    def _look_again(self) -> None:
        """Wake those who wait when a pause ends: nobody's leaving would."""
        if self._timer:
            return
        if pauses := [wait_s for lane in self.lanes if (wait_s := lane.waits_s())]:
            self._timer = asyncio.get_running_loop().call_later(min(pauses), self._pause_over)

    def _pause_over(self) -> None:
        self._timer = None
        self._admit()


class Slot:
    """One place in flight: `lane` while it is held, `busy_s` (seconds of the server's time) once it is given back."""

    __slots__ = ("_entered", "_gate", "busy_s", "lane")

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.busy_s = 0.0

    async def __aenter__(self) -> Self:
        self.lane, self._entered = await self._gate.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.busy_s = self._gate.leave(self.lane, self._entered)
