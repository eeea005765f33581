"""Helpers for tests that start processes."""

import socket


def free_ports(count: int) -> int:
    """Return a port of 127.0.0.1 that is free together with the `count - 1` after it."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
        if all(_free(port + step) for step in range(count)):
            return port


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
