"""The process of the tests: runs the reference against a program that lives in another process.

The program can neither read the tests nor touch what they found: it is asked for values, and judged here. The last line
on stdout is the finding, as JSON.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import io
import json
import linecache
import os
import sys
import traceback
import types
from typing import Any

from filters.sandbox.inside.limits import restrict
from filters.sandbox.inside.link import Link

_FILE = "<tests>"
_LINES_MAX = 6
_CHARS_MAX = 1000


class Failed(Exception):
    """Tests that ran and did not pass; the message is what unittest printed."""


def main() -> None:
    """Ask the program for its names, run the tests with them, tell how it went."""
    task = json.load(sys.stdin)
    restrict(task["cpu_s"])
    results = os.fdopen(os.dup(1), "w")
    sys.stdin, sys.stdout, sys.stderr = io.StringIO(), io.StringIO(), io.StringIO()
    link = Link(int(sys.argv[1]), _console, trusting=False)
    link.show = lambda text: sys.stdout.write(text)
    json.dump(_finding(link, task), results)
    results.flush()
    os._exit(0)


def _finding(link: Link, task: dict[str, Any]) -> dict[str, Any]:
    at = "start"
    try:
        link.home()("hello")
        at = "program"
        names, entry = link.home()("names")
        at = "tests"
        names = {name: value for name, value in names.items() if name.isidentifier() and not name.startswith("__")}
        for given in (names, without_shadows(task["tests"], names)):
            if given is not None:
                run(task["tests"], given, task.get("entry_point") or entry)
    except BaseException as error:  # noqa: BLE001 - SystemExit is no pass either
        return {"passed": False, "at": at, "gone": link.gone, "refused": link.refused, **told(error)}
    passed = not (link.gone or link.doubt)
    error = "Doubt" if link.doubt else ""
    return {"passed": passed, "at": at, "gone": link.gone, "refused": link.refused, "error": error, "said": link.doubt}


def _console(what: str, *args: Any) -> Any:
    """Give the program the input that the tests have laid out: `builtins.input` may be patched, or `sys.stdin`."""
    return {"input": builtins.input, "readline": lambda: sys.stdin.readline(), "read": lambda: sys.stdin.read()}[what](
        *args
    )


def run(source: str, names: dict[str, Any], entry: str | None) -> None:
    """Run the tests with the program's names. Returns if they passed, raises whatever kept them from it."""
    module = types.ModuleType("solution")
    vars(module).update(names)
    sys.modules["solution"] = module
    wants_unittest = "unittest" in source  # slow to import
    if wants_unittest:
        import unittest

        unittest.main = lambda *args, **named: None  # type: ignore[assignment] - we run the cases ourselves
    linecache.cache[_FILE] = (len(source), None, source.splitlines(keepends=True), _FILE)
    space: dict[str, Any] = {"__name__": "tests", **names}
    exec(compile(source, _FILE, "exec"), space)  # noqa: S102 - that is what the sandbox is for
    defined = {name: value for name, value in space.items() if names.get(name, _NOTHING) is not value}
    if isinstance(defined.get("check"), types.FunctionType) and not _calls(source, "check"):
        defined["check"](names.get(entry or ""))
    for name, value in defined.items():
        if name.startswith("test") and isinstance(value, types.FunctionType):
            value()
    if wants_unittest:
        _run_cases([value for value in defined.values() if isinstance(value, type) and value.__module__ == "tests"])


_NOTHING = object()


def _run_cases(classes: list[type]) -> None:
    import unittest

    cases = [each for each in classes if issubclass(each, unittest.TestCase)]
    if not cases:
        return
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromTestCase(case) for case in cases)
    result = unittest.TextTestRunner(stream=io.StringIO(), verbosity=0).run(suite)
    if not result.wasSuccessful() or result.testsRun <= len(result.skipped):
        raise Failed(next((text for _, text in (*result.failures, *result.errors)), "no test ran"))


def _calls(source: str, name: str) -> bool:
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
        for node in ast.walk(ast.parse(source))
    )


def without_shadows(source: str, names: dict[str, Any]) -> dict[str, Any] | None:
    """Return the names without those that hide what the tests lean on; None where there are none.

    A program may have a `pow` or a `len` of its own, and may be asked for one. It must pass with it *and* without: an
    `all` that is always true would pass with it only.
    """
    tree = ast.parse(source)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    bases = {n.value.id for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)}
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    plain = {name for name in used & set(names) if hasattr(builtins, name)}
    modules = {name for name in (bases - called) & set(names) & sys.stdlib_module_names}
    modules = {name for name in modules if not isinstance(names[name], types.ModuleType)}
    if not plain and not modules:
        return None
    kept = {name: value for name, value in names.items() if name not in plain}
    return kept | {name: importlib.import_module(name) for name in modules}


def told(error: BaseException) -> dict[str, str]:
    """Return the error's class and its last lines: where in the tests, where in the program, and what."""
    if isinstance(error, Failed):
        lines = str(error).strip().splitlines()
    else:
        in_tests = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _FILE]
        lines = [f"line {in_tests[-1].lineno} of the tests: {in_tests[-1].line}"] if in_tests else []
        where = getattr(error, "where", "")
        lines += [where] if where else []
        lines += traceback.format_exception_only(type(error), error)[-1].strip().splitlines()[-3:]
    return {"error": type(error).__name__, "said": "\n".join(lines[-_LINES_MAX:])[-_CHARS_MAX:]}


if __name__ == "__main__":
    main()
