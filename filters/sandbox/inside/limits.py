"""Limits that a process in the sandbox lays upon itself before it meets any text from outside."""

from __future__ import annotations

import resource

MEMORY_BYTES = 512 << 20
PROCESSES = 32
"""Threads count too, and bubblewrap itself takes one or two."""
FILE_BYTES = 16 << 20
FILES = 64


def restrict(cpu_s: int) -> None:
    """Lower the limits for good: raising them again takes a privilege that nobody inside has.

    Where the process that started us had lower ones, those stay.
    """
    for which, wanted in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NPROC, PROCESSES),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        hard = resource.getrlimit(which)[1]
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(which, (limit, limit))
