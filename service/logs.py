"""Logs of API and workers: lines for a person or JSON for a collector, each with the ids of what it is about.

Ids are bound where a request or a job begins and travel with its tasks and threads, so that no message has to name
them. What must not be in a log is blotted out where lines are written: every secret that this process knows.
"""

import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from service.settings import Settings

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
QUIET = ("httpx", "httpcore", "alembic", "asyncio", "uvicorn", "opentelemetry")
"""Libraries that tell of every request or every start: heard from `warning` on."""
SECRET_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSWORD")
"""Environment variables whose values are never written; the keys of teachers are among them."""
SECRET_CHARACTERS_MIN = 8
"""Shorter values, such as vLLM's `EMPTY`, would blot out ordinary words."""
BLOT = "***"

_bound: ContextVar[Mapping[str, str]] = ContextVar("bound")


@contextmanager
def about(**ids: object) -> Iterator[None]:
    """Let every line that is logged within the block carry these ids; None is left out."""
    told = {name: str(value) for name, value in ids.items() if value is not None}
    token = _bound.set({**bound(), **told})
    try:
        yield
    finally:
        _bound.reset(token)


def bind(**ids: object) -> None:
    """Do the same for the rest of this task or thread."""
    _bound.set({**bound(), **{name: str(value) for name, value in ids.items()}})


def bound() -> Mapping[str, str]:
    """Return the ids of what this task or thread is doing."""
    return _bound.get({})


def set_up(settings: "Settings", part: str) -> None:
    """Write this process's log to stderr as the settings say; `part` is `api` or `worker`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Blotted(_json(part) if settings.log_format == "json" else _Text(), _secrets(settings)))
    handler.addFilter(_bind)
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _bind(record: logging.LogRecord) -> bool:
    record.__dict__.update(bound())
    return True


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        ids = " ".join(f"{name}={value}" for name, value in bound().items())
        return super().formatMessage(record) + (f" [{ids}]" if ids else "")


class _Blotted(logging.Formatter):
    """Another formatter's lines, without secrets."""

    def __init__(self, inner: logging.Formatter, secrets: list[str]) -> None:
        super().__init__()
        self._inner = inner
        self._secret = re.compile("|".join([*map(re.escape, secrets), r"(?<=Bearer )[\w.~+/=-]+"]))

    def format(self, record: logging.LogRecord) -> str:
        return self._secret.sub(BLOT, self._inner.format(record))


def _json(part: str) -> logging.Formatter:
    from pythonjsonlogger.json import JsonFormatter

    return JsonFormatter(
        "{levelname}{name}{message}",
        style="{",
        rename_fields={"levelname": "level", "name": "logger", "exc_info": "exception"},
        static_fields={"part": part, "pid": os.getpid()},
        timestamp="time",
        json_ensure_ascii=False,
    )


def _secrets(settings: "Settings") -> list[str]:
    from sqlalchemy.engine import make_url  # too slow for whoever wants ids alone

    named = [value for name, value in os.environ.items() if SECRET_NAMES.search(name.upper())]
    password = make_url(settings.url()).password
    key = settings.api_key.get_secret_value() if settings.api_key else None
    known = {str(value) for value in (*named, password, key) if value}
    known |= {json.dumps(value)[1:-1] for value in known}  # as it stands within JSON
    # The longest first: one secret may begin with another.
    return sorted((value for value in known if len(value) >= SECRET_CHARACTERS_MIN), key=len, reverse=True)
