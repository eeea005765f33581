"""The gate before a teacher: never more at once than it may have, fewer when it is busy."""

import asyncio
import random
import selectors
from unittest.mock import patch

import pytest

from service.teachers.protocol import Completion, TeacherBusy
from workers.gate import REFUSALS_IN_ROW, Gate, Lane
from workers.splits import split_of


class Leap(selectors.DefaultSelector):
    """Does not wait for a time to come but leaps there."""

    now = 0.0

    def select(self, timeout=None):
        self.now += timeout or 0
        return super().select(timeout and 0)


class LeapingLoop(asyncio.SelectorEventLoop):
    """Only sleeps take time here, and exactly theirs: a machine that is busy would add its own."""

    def __init__(self):
        self.leap = Leap()
        super().__init__(self.leap)

    def time(self) -> float:
        return self.leap.now


def play(scene, *ceilings: int) -> None:
    async def played() -> None:
        lanes = [Lane(f"server {number}", ceiling) for number, ceiling in enumerate(ceilings or (4,))]
        await scene(Gate(asyncio.Event(), lanes), *lanes)

    with asyncio.Runner(loop_factory=LeapingLoop) as runner, patch("workers.gate.monotonic", runner.get_loop().time):
        runner.run(played())


def answer(latency_ms: int = 10) -> list[Completion]:
    return [Completion("", "4", "stop", 1, 1, 0, latency_ms, b"{}")]


def test_never_more_than_the_limit_are_inside():
    async def scene(gate: Gate, lane: Lane) -> None:
        most = 0

        async def one() -> None:
            nonlocal most
            async with gate.slot():
                most = max(most, lane.held)
                await asyncio.sleep(0)

        await asyncio.gather(*(one() for _ in range(50)))
        assert (most, lane.held) == (4, 0)

    play(scene)


def test_one_that_gives_up_waiting_leaves_its_place_to_the_next():
    async def scene(gate: Gate, lane: Lane) -> None:
        places = [await gate.enter() for _ in range(4)]
        waiting = [asyncio.create_task(gate.enter()) for _ in range(2)]
        await asyncio.sleep(0)
        gate.leave(*places[0])
        waiting[0].cancel()  # its slot was given to it in this very moment
        await asyncio.wait(waiting)
        assert waiting[0].cancelled()
        assert not waiting[1].cancelled()
        assert lane.held == 4

    play(scene)


def test_a_busy_server_gets_less_and_a_willing_one_all_again():
    async def scene(gate: Gate, lane: Lane) -> None:
        for _ in range(20):
            lane.busy(TeacherBusy("rate_limited"))
        assert lane.limit == pytest.approx(2.8), "refusals of one moment are one sign"
        for _ in range(20):
            lane.answered(answer())
        assert lane.limit == 4

    play(scene)


def test_a_limit_that_was_cut_grows_only_while_answers_come_no_slower_than_then():
    async def scene(gate: Gate, lane: Lane) -> None:
        lane.answered(answer(latency_ms=10))
        for _ in range(20):
            lane.busy(TeacherBusy("overloaded"))
        for _ in range(50):
            lane.answered(answer(latency_ms=40))
        assert lane.limit == pytest.approx(2.8)
        for _ in range(200):
            lane.answered(answer(latency_ms=5))
        assert lane.limit == 4

    play(scene)


@pytest.mark.parametrize(("reason", "share"), [("rate_limited", 20), ("server_error", 2)])
def test_what_fewer_requests_would_not_mend_costs_no_speed(reason, share):
    async def scene(gate: Gate, lane: Lane) -> None:
        for number in range(400):
            if number % share:
                lane.answered(answer())
            else:
                lane.busy(TeacherBusy(reason))
        assert lane.limit == 4

    play(scene)


def test_one_refusal_in_twenty_at_random_costs_no_speed():
    async def scene(gate: Gate, lane: Lane) -> None:
        chosen = random.Random(0)
        for _ in range(20_000):
            if chosen.random() < 0.05:
                lane.busy(TeacherBusy("rate_limited"))
            else:
                lane.answered(answer())
            assert lane.limit == 4

    play(scene)


def test_a_server_that_refuses_everybody_is_left_alone_as_long_as_it_says():
    async def scene(gate: Gate, lane: Lane) -> None:
        for _ in range(REFUSALS_IN_ROW):
            lane.busy(TeacherBusy("rate_limited", retry_after_s=0.1))
        began = asyncio.get_running_loop().time()
        async with gate.slot():
            assert asyncio.get_running_loop().time() - began >= 0.1

    play(scene)


def test_looks_at_a_server_that_is_down_become_rarer():
    async def scene(gate: Gate, lane: Lane) -> None:
        lane.down()
        assert gate.waits_s() == pytest.approx(0.5)
        lane.down()
        assert gate.waits_s() <= 0.5, "shards that looked at the same time wait as long"
        await asyncio.sleep(0.51)
        assert lane.slots() == 16, "enough to see whether it is back"
        lane.down()
        assert gate.waits_s() == pytest.approx(1.0)
        assert lane.answered(answer()) is True
        assert lane.answered(answer()) is False

    play(scene, 64)


def test_requests_go_to_the_server_that_is_least_full_and_to_none_that_is_down():
    async def scene(gate: Gate, small: Lane, large: Lane) -> None:
        places = [await gate.enter() for _ in range(6)]
        assert (small.held, large.held) == (2, 4)
        for place in places:
            gate.leave(*place)
        small.down()
        assert not gate.is_down
        for _ in range(4):
            assert (await gate.enter())[0] is large

    play(scene, 2, 4)


def test_who_waits_gets_the_next_place_at_any_server():
    async def scene(gate: Gate, first: Lane, second: Lane) -> None:
        held = [await gate.enter() for _ in range(2)]
        waiting = asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        assert not waiting.done()
        gate.leave(*held[1])
        assert (await waiting)[0] is held[1][0]

    play(scene, 1, 1)


def test_requests_in_flight_together_share_the_time_that_their_server_was_busy():
    async def scene(gate: Gate, lane: Lane) -> None:
        loop = asyncio.get_running_loop()
        began, spent = loop.time(), []

        async def one(seconds: float) -> None:
            async with gate.slot() as slot:
                await asyncio.sleep(seconds)
            spent.append(slot.busy_s)

        await asyncio.gather(one(0.05), one(0.05), one(0.15))
        assert spent == pytest.approx([0.05 / 3, 0.05 / 3, 0.05 / 3 + 0.1])
        assert sum(spent) == pytest.approx(loop.time() - began)

    play(scene)


def test_the_split_is_a_property_of_the_text_alone():
    fractions = {"eval": 0.1, "test": 0.2}
    drawn = [split_of(f"prompt {number}", fractions) for number in range(10_000)]
    assert drawn.count("test") == pytest.approx(2000, abs=150)
    assert drawn.count("eval") == pytest.approx(1000, abs=150)
    assert split_of("Prompt\t 1 \n", fractions) == split_of("prompt 1", fractions)
    assert split_of("\uff30rompt 1", fractions) == split_of("prompt 1", fractions), "NFKC"
    assert split_of("anything", {}) == "train"
