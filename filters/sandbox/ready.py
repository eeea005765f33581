"""May programs be executed on this machine? Asked once a process, by trying what a hostile program would."""

import functools
import json
import os
import secrets
import tempfile
import time

from filters.sandbox.cell import Cell, SandboxUnavailable, bubblewrap, interpreters
from filters.sandbox.slots import slot
from filters.sandbox.watch import Stop, watch

PROBE_S = 10.0


@functools.cache
def _found() -> tuple[tuple[str, str] | None, str]:
    try:
        bubblewrap()
    except SandboxUnavailable as missing:
        return None, str(missing)
    failures: list[str] = []
    for python in interpreters():
        try:
            holes = _holes(python)
        except SandboxUnavailable as failed:
            failures.append(f"with {python[0]}: {failed}")
            continue
        if not holes:
            return python, ""
        failures.append(f"with {python[0]} it lets through: {', '.join(holes)}")
    return None, "the sandbox fails its self-test: " + "; ".join(failures)


def ready() -> tuple[str, str]:
    """Return (executable, prefix) of the Python to run inside; raise `SandboxUnavailable` where nothing may run.

    The first call takes about a tenth of a second, the others none: the answer holds as long as the process.
    """
    python, why = _found()
    if python is None:
        raise SandboxUnavailable(why)
    return python


def _holes(python: tuple[str, str]) -> list[str]:
    """Return the names of what the sandbox does not hold back."""
    with slot() as user, tempfile.NamedTemporaryFile(prefix=secrets.token_hex(4)) as canary:
        os.chmod(canary.name, 0o644)
        task = {"canary": canary.name, "parent": os.getpid()}
        seen = watch([Cell("probe", task, user=user, python=python)], time.monotonic() + PROBE_S)
    if seen.stop is not Stop.DONE:
        raise SandboxUnavailable(f"the self-test ended by {seen.stop}")
    try:
        return json.loads(seen.stdout[0])
    except ValueError:
        last = seen.stderr[0].decode(errors="replace").strip()[-300:]
        raise SandboxUnavailable(f"exit code {seen.codes[0]}: {last or 'no word'}") from None
