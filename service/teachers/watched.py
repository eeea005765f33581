"""Each request to a teacher as operators see it: how it ended, how long it took, and a span of its trace."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from service.counting import TEACHER_REQUESTS, TEACHER_SECONDS
from service.teachers.protocol import TeacherError
from service.tracing import span

_SECONDS, _REQUESTS = cache(TEACHER_SECONDS.labels), cache(TEACHER_REQUESTS.labels)
"""Kept, since finding a figure by its labels takes longer than counting."""


@contextmanager
def asking(teacher: str, model: str) -> Iterator[None]:
    """Count a request that is sent within the block, and how it ended."""
    start, outcome = time.perf_counter(), "failed"
    try:
        with span(f"chat {model}", {"gen_ai.operation.name": "chat", "gen_ai.request.model": model}, client=True):
            yield
        outcome = "ok"
        _SECONDS(teacher).observe(time.perf_counter() - start)
    except TeacherError as error:
        outcome = error.reason
        raise
    except asyncio.CancelledError:
        outcome = "cancelled"
        raise
    finally:
        _REQUESTS(teacher, outcome).inc()
