"""What is refused before anything starts, and keeping children alive."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from service.cli.launch import listen, lock, refuse_open_door
from service.cli.supervisor import Child, Supervisor, pause
from service.cli.terminal import Refused
from service.settings import Settings

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost"])
def test_this_machine_alone_needs_no_key(host: str) -> None:
    refuse_open_door(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7"])  # noqa: S104
def test_other_machines_need_a_key(host: str) -> None:
    with pytest.raises(Refused, match="Set RETORT_API_KEY"):
        refuse_open_door(host, None)
    refuse_open_door(host, "secret")


def test_a_host_that_does_not_exist_is_told() -> None:
    with pytest.raises(Refused, match=r"--host no-such-host\.invalid"):
        refuse_open_door("no-such-host.invalid", None)


def test_a_port_in_use_is_told() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(Refused, match=f"cannot listen on 127.0.0.1:{port}"), listen("127.0.0.1", port):
            pass


def test_one_embedded_folder_has_one_up(settings: Settings) -> None:
    in_use = pytest.raises(Refused, match=rf"in use by another `retort up` \(process {os.getpid()}\)")
    with lock(settings), in_use, lock(settings):
        pass
    with lock(settings):
        pass


def test_a_shared_database_locks_nothing(tmp_path: Path) -> None:
    shared = Settings(data_dir=tmp_path / "data", database_url="postgresql://host/db")
    with lock(shared), lock(shared):
        assert not (tmp_path / "data").exists()


def test_pauses_grow_and_end_growing() -> None:
    assert [pause(deaths) for deaths in (1, 2, 3, 5, 6, 99)] == [1, 2, 4, 16, 30, 30]


def child(code: str, **options: object) -> Child:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return Child("child", [sys.executable, "-u", "-c", code], env, stop_s=1, **options)  # pyright: ignore[reportArgumentType]


def supervise(kept: Child, until: str, *, ready: bool = True) -> tuple[bool, list[str]]:
    """Keep one child until a line with `until` was said, then ask for the stop as Ctrl-C does."""
    said: list[str] = []

    def say(name: str, line: str) -> None:
        said.append(f"{name} | {line}" if name else line)
        if until in line:
            os.kill(os.getpid(), signal.SIGINT)

    async def is_ready() -> None:
        if not ready:
            await asyncio.Event().wait()

    async def run() -> bool:
        return await Supervisor([kept], say).run(is_ready, lambda: None)

    return asyncio.run(run()), said


def test_what_a_child_prints_carries_its_name() -> None:
    ended_well, said = supervise(child("print('one\\ntwo'); import time; time.sleep(60)"), "two")
    assert ended_well
    assert said[:2] == ["child | one", "child | two"]


def test_a_child_that_died_is_started_again() -> None:
    code = "import os, signal; print('alive'); os.kill(os.getpid(), signal.SIGKILL)"
    ended_well, said = supervise(child(code), "again in 2 s")
    assert ended_well
    assert [line for line in said if line.startswith("child")] == [
        "child | alive",
        "child was killed by SIGKILL; it is started again in 1 s",
        "child | alive",
        "child was killed by SIGKILL; it is started again in 2 s",
    ]


def test_a_first_child_that_cannot_start_ends_all() -> None:
    ended_well, said = supervise(child("raise SystemExit('no database')", first=True), "never", ready=False)
    assert not ended_well
    assert said == ["child | no database", "child ended with exit code 1 before it was ready; stopping"]


def test_a_child_that_does_not_stop_is_killed() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(60)"
    ended_well, said = supervise(child(code), "deaf")
    assert ended_well
    assert "child did not stop in time; killing it" in said


def test_ipv6_is_listened_to_where_there_is_any() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 on this machine")
    with listen("::1", 0) as listener:
        assert listener.family == socket.AF_INET6
