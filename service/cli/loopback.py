"""Addresses of this machine: which they are, and whether somebody listens there yet."""

import ipaddress
import socket
import time
from urllib.parse import urlsplit

CONNECT_S = 0.5
STARTING_S = 3.0
"""A `retort up` that was typed a moment ago listens by then; the first requests wait in its socket."""
LOOK_EVERY_S = 0.1


def await_start(url: str) -> None:
    """Wait until somebody listens at a URL on this machine, for as long as a `retort up &` may need to get there."""
    try:
        address = urlsplit(url)
        host, port = address.hostname or "", address.port or 80
    except ValueError:
        return  # no URL: the first request says so
    if not is_loopback(host):
        return
    end = time.monotonic() + STARTING_S
    while not connects(host, port) and time.monotonic() < end:
        time.sleep(LOOK_EVERY_S)


def is_loopback(host: str) -> bool:
    """Whether a host can be reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def connects(address: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        with socket.create_connection((address, port), timeout=CONNECT_S):
            return True
    except OSError:
        return False
