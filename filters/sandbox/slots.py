"""A user of its own for each program that runs: the limit on processes counts per user, not per program."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_FIRST, _LAST = 60706, 61183
"""Users that neither Debian nor systemd hands out. They need no entry in /etc/passwd and own no file."""


class NoSlot(RuntimeError):
    """Every user is taken: more programs run at once than there are users for them."""


@contextmanager
def slot() -> Iterator[int | None]:
    """Hold a user id that no other program on this machine runs under; None where we may not change users.

    Without root the program runs under our own user, in a user namespace: kernels from 5.14 on count processes there
    by namespace, so the limit still holds for each program alone. On older ones our other processes count too, and the
    self-test fails.
    """
    if os.geteuid() != 0:
        yield None
        return
    user, lock = _take()
    try:
        yield user
    finally:
        lock.close()


def _take() -> tuple[int, socket.socket]:
    """Bind a name in the abstract namespace: the kernel frees it with the process, however that ends."""
    count = _LAST - _FIRST + 1
    start = os.getpid() % count
    for step in range(count):
        user = _FIRST + (start + step) % count
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            lock.bind(f"\0retort-sandbox-{user}")
        except OSError:
            lock.close()
        else:
            return user, lock
    raise NoSlot(f"all users from {_FIRST} to {_LAST} are running programs")
