"""Program and tests in one process, as an ordinary test run has them: a second look at a program that failed apart.

Passing here proves nothing, for the program may have had its hands in it; failing here proves that it fails.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import sys
from typing import Any

from filters.sandbox.inside.limits import restrict
from filters.sandbox.inside.program import load
from filters.sandbox.inside.tests import run, told, without_shadows


def main() -> None:
    """Run both and tell how it went, in words that the program could not know beforehand."""
    task = json.load(sys.stdin)
    restrict(task["cpu_s"])
    results = os.dup(1)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 1)
    sys.stdin, sys.stdout, sys.stderr = io.StringIO(), io.StringIO(), io.StringIO()
    before = _parts(task["tests"])
    try:
        module, entry = load(task["program"])
        if before != _parts(task["tests"]):
            raise PermissionError("the program changes what tests are made of")
        for names in (vars(module), without_shadows(task["tests"], vars(module))):
            if names is not None:
                run(task["tests"], names, task.get("entry_point") or entry)
        finding = {"passed": True, "error": "", "said": ""}
    except BaseException as error:  # noqa: BLE001 - SystemExit is no pass either
        finding = {"passed": False, **told(error)}
    os.write(results, json.dumps({"nonce": task["nonce"], **finding}).encode())
    os._exit(0)


def _parts(tests: str) -> list[dict[str, Any]]:
    """Return what tests are made of, as it is now."""
    parts = [{name: value for name, value in vars(builtins).items() if name not in ("exit", "quit")}]
    if "unittest" in tests:
        import unittest

        parts.append(dict(vars(unittest.TestCase)))
    return parts


if __name__ == "__main__":
    main()
