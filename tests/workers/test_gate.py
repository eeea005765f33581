"""The gate before a teacher: never more at once than it may have, fewer when it is busy."""

import asyncio

import pytest

from service.teachers.protocol import TeacherBusy
from workers.gate import REFUSALS_IN_ROW, Gate
from workers.splits import split_of


def play(scene) -> None:
    asyncio.run(scene(Gate(4, asyncio.Event())))


def test_never_more_than_the_limit_are_inside():
    async def scene(gate: Gate) -> None:
        most = 0

        async def one() -> None:
            nonlocal most
            async with gate:
                most = max(most, gate.held)
                await asyncio.sleep(0)

        await asyncio.gather(*(one() for _ in range(50)))
        assert (most, gate.held) == (4, 0)

    play(scene)


def test_one_that_gives_up_waiting_leaves_its_place_to_the_next():
    async def scene(gate: Gate) -> None:
        for _ in range(4):
            await gate.__aenter__()
        waiting = [asyncio.create_task(gate.__aenter__()) for _ in range(2)]
        await asyncio.sleep(0)
        await gate.__aexit__()
        waiting[0].cancel()  # its slot was given to it in this very moment
        await asyncio.wait(waiting)
        assert waiting[0].cancelled()
        assert not waiting[1].cancelled()
        assert gate.held == 4

    play(scene)


def test_a_busy_teacher_gets_less_and_a_willing_one_all_again():
    async def scene(gate: Gate) -> None:
        for _ in range(10):
            gate.busy(TeacherBusy("rate_limited"))
        assert gate.limit == pytest.approx(2.8), "refusals of one moment are one sign"
        for _ in range(20):
            gate.answered()
        assert gate.limit == 4

    play(scene)


@pytest.mark.parametrize(("reason", "share"), [("rate_limited", 20), ("server_error", 2)])
def test_what_fewer_requests_would_not_mend_costs_no_speed(reason, share):
    async def scene(gate: Gate) -> None:
        for number in range(400):
            if number % share:
                gate.answered()
            else:
                gate.busy(TeacherBusy(reason))
        assert gate.limit == 4

    play(scene)


def test_a_teacher_that_refuses_everybody_is_left_alone_as_long_as_it_says():
    async def scene(gate: Gate) -> None:
        for _ in range(REFUSALS_IN_ROW):
            gate.busy(TeacherBusy("rate_limited", retry_after_s=0.1))
        began = asyncio.get_running_loop().time()
        async with gate:
            assert asyncio.get_running_loop().time() - began >= 0.09

    play(scene)


def test_looks_at_a_teacher_that_is_down_become_rarer():
    async def scene(gate: Gate) -> None:
        assert gate.down() == pytest.approx(0.5, abs=0.01)
        assert gate.down() <= 0.5, "shards that looked at the same time wait as long"
        await asyncio.sleep(0.51)
        assert gate.down() == pytest.approx(1.0, abs=0.01)
        assert gate.answered() is True
        assert gate.answered() is False

    play(scene)


def test_the_split_is_a_property_of_the_text_alone():
    fractions = {"eval": 0.1, "test": 0.2}
    drawn = [split_of(f"prompt {number}", fractions) for number in range(10_000)]
    assert drawn.count("test") == pytest.approx(2000, abs=150)
    assert drawn.count("eval") == pytest.approx(1000, abs=150)
    assert split_of("Prompt\t 1 \n", fractions) == split_of("prompt 1", fractions)
    assert split_of("\uff30rompt 1", fractions) == split_of("prompt 1", fractions), "NFKC"
    assert split_of("anything", {}) == "train"
