"""Wrong keys, counted by address: after a few of them further keys from there are not even looked at for a while."""

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

TRIES = 20
"""Wrong keys from one address within the window: a person mistypes a few, a forgotten script sends one each second."""
WINDOW_S = 60.0
REMEMBERED = 10_000
"""Addresses, and keys that were right, of which one process knows; the longest unused are forgotten."""


class Throttle:
    """Counts in memory, in each API process by itself: what it holds back is a flood, and a restart may forget it.

    A key that was right from an address goes on working there, so that a stranger behind the same proxy locks nobody
    out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._right: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, address: str, token_sha256: str) -> float:
        """Return how long until a key is looked at again; 0 now."""
        network = _network(address)
        with self._lock:
            since, count = self._wrong.get(network, (0.0, 0))
            if count < TRIES or (network, token_sha256) in self._right:
                return 0.0
            return max(0.0, since + WINDOW_S - self._clock())

    def wrong(self, address: str) -> int:
        """Note a wrong key; return which one of the window it is."""
        network, now = _network(address), self._clock()
        with self._lock:
            since, count = self._wrong.pop(network, (now, 0))
            if now - since >= WINDOW_S:
                since, count = now, 0
            self._wrong[network] = since, count + 1
            _forget(self._wrong)
            return count + 1

    def right(self, address: str, token_sha256: str) -> None:
        """Note a key that opens something."""
        known = _network(address), token_sha256
        with self._lock:
            self._right[known] = None
            self._right.move_to_end(known)
            _forget(self._right)


def _forget(known: OrderedDict[str, tuple[float, int]] | OrderedDict[tuple[str, str], None]) -> None:
    while len(known) > REMEMBERED:
        known.popitem(last=False)


def _network(address: str) -> str:
    """Return what one person has of addresses: of IPv6 a whole /64."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else address
