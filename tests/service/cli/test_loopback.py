"""A command typed right after `retort up &` finds it."""

import socket
import threading
import time

from service.cli import loopback
from tests.processes import free_ports


def listen_late(port: int, after_s: float) -> None:
    time.sleep(after_s)
    with socket.create_server(("127.0.0.1", port)) as server:
        server.accept()[0].close()


def test_a_retort_that_listens_a_moment_later_is_waited_for():
    port = free_ports(1)
    late = threading.Thread(target=listen_late, args=(port, 0.4), daemon=True)
    late.start()
    loopback.await_start(f"http://127.0.0.1:{port}")
    late.join(timeout=1)
    assert not late.is_alive(), "nobody came to the one that listened late"


def test_no_other_machine_is_waited_for(monkeypatch):
    monkeypatch.setattr(loopback, "connects", lambda *_: False)
    monkeypatch.setattr(loopback.time, "sleep", waited)
    for url in ("http://10.0.0.1:8080", "https://retort.example", "no url", "http://[::1"):
        loopback.await_start(url)


def waited(_: float) -> None:
    raise AssertionError("waited")
