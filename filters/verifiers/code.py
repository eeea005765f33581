"""Does the program in the response pass the unit tests in the reference? Runs both in `filters.sandbox`.

The program is the last fenced block that holds Python; without any, the whole response if it is Python. Only the
standard library is there.

A reference is Python: `assert` statements, functions named `test…` without parameters, `unittest` cases, or a function
`check(candidate)`, which gets the program's last function. Or it is JSON, `{"tests": "…", "entry_point"?: "name",
"timeout_s"?: 4.0}`, or a list of such tests. The names that the program defines are simply there; `from solution import
…` works too. `timeout_s` beyond 4 needs the filter's own `timeout_s` to be at least a second more.
"""

import ast
import json
import re
import sys
from dataclasses import dataclass
from typing import Any

from filters.sandbox.cell import SandboxUnavailable
from filters.sandbox.trial import TIMEOUT_S, Finding, trial
from filters.verdict import KEEP, Verdict, abstain, reject

CHARS_MAX = 200_000
"""Of a program, and of tests. Parsing takes memory of some hundred times the text."""
TIMEOUT_S_MAX = 60.0
_OURS = {"module_missing", "tests_crashed", "tests_disagree"}
"""What a trial may find out that says nothing about the program."""
_FENCE = re.compile(r"^ {0,3}(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[\w+.-]*)", re.MULTILINE)
_PYTHON = {"python", "python3", "py"}
_DETAILS = {
    "tests_failed": "the program does not pass its tests",
    "program_failed": "the program fails before its tests begin",
    "time_limit": "program and tests do not end in time",
    "memory_limit": "the program wants more memory than it may have",
    "output_limit": "the program prints without end",
    "module_missing": "a module is missing that is not in the standard library",
    "tests_crashed": "the tests' own process crashed",
    "tests_disagree": "the tests need the program in their own process, where it could forge their result",
}


@dataclass(frozen=True, slots=True)
class Reference:
    """Unit tests, read."""

    tests: str
    entry_point: str | None = None
    timeout_s: float = TIMEOUT_S


def gradable(reference: str) -> bool:
    """Tell whether the reference holds Python that asserts something and imports the standard library alone."""
    return isinstance(_read(reference), Reference)


def verify(response: str, reference: str) -> Verdict:
    """Keep a program that passes; reject it with the failing test's last lines as evidence.

    Abstains as `sandbox_unavailable` where nothing may be executed; see `filters.sandbox.trial` for the other reasons.
    """
    read = _read(reference)
    if isinstance(read, str):
        return abstain("reference_not_gradable", read)
    program = extract(response)
    if program is None:
        return reject("no_code", "the response holds no block of Python and is none itself")
    if len(program) > CHARS_MAX:
        return reject("no_code", f"the program has {len(program)} characters, more than {CHARS_MAX}")
    try:
        return _verdict(trial(program, read.tests, entry_point=read.entry_point, timeout_s=read.timeout_s))
    except SandboxUnavailable as error:
        return abstain("sandbox_unavailable", str(error))


def _verdict(finding: Finding) -> Verdict:
    if not finding.reason:
        return KEEP
    detail = _DETAILS[finding.reason]
    if finding.reason in _OURS:
        return abstain(finding.reason, detail, said=finding.said)
    return reject(finding.reason, detail, said=finding.said)


def extract(response: str) -> str | None:
    """Return the program in a response, None where there is none.

    The last Python block that defines a function or class, else the last one: what follows a solution is often an
    example of its use.
    """
    tagged, bare = _blocks(response)
    blocks = tagged or [block for block in bare if _parse(block)]
    for block in reversed(blocks):
        if (tree := _parse(block)) and _defines(tree):
            return block
    if blocks:
        return blocks[-1]
    tree = _parse(response)
    # A lone word or number is Python too, and no program.
    return response if tree and not all(isinstance(node, ast.Expr) for node in tree.body) else None


def _blocks(response: str) -> tuple[list[str], list[str]]:
    """Return the fenced blocks that are called Python, and those that are called nothing. An open last one counts."""
    tagged: list[str] = []
    bare: list[str] = []
    opened: re.Match[str] | None = None
    for found in _FENCE.finditer(response):
        if opened is None:
            opened = found
        elif found["fence"].startswith(opened["fence"]) and not found["language"]:
            _sort(opened, response[opened.end() : found.start()], tagged, bare)
            opened = None
    if opened is not None:
        _sort(opened, response[opened.end() :], tagged, bare)
    return tagged, bare


def _sort(opened: re.Match[str], text: str, tagged: list[str], bare: list[str]) -> None:
    code = text.partition("\n")[2]  # the rest of the fence's own line is no code
    if opened["language"].casefold() in _PYTHON:
        tagged.append(code)
    elif not opened["language"]:
        bare.append(code)


def _read(reference: str) -> Reference | str:
    """Read a reference; a string says why it cannot be graded."""
    if len(reference) > CHARS_MAX:
        return f"the tests have {len(reference)} characters, more than {CHARS_MAX}"
    given = _from_json(reference)
    if isinstance(given, str):
        return given
    try:
        tree = ast.parse(given.tests)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"the tests are no Python: {error}"
    return _lacks(tree) or given


def _from_json(reference: str) -> Reference | str:
    if not reference.lstrip().startswith(("{", "[")):
        return Reference(reference)
    try:
        given: Any = json.loads(reference)
    except (ValueError, RecursionError):
        return Reference(reference)
    if isinstance(given, list):
        given = {"tests": given}
    if isinstance(tests := given.get("tests"), list) and all(isinstance(test, str) for test in tests):
        given["tests"] = "\n".join(tests)
    entry, timeout_s = given.get("entry_point"), given.get("timeout_s", TIMEOUT_S)
    if not isinstance(given.get("tests"), str) or not isinstance(entry, str | None):
        return 'tests as JSON are {"tests": "…", "entry_point"?: "name", "timeout_s"?: seconds}'
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or not 0 < timeout_s <= TIMEOUT_S_MAX:
        return f"timeout_s is {str(timeout_s)[:40]}, and must be above 0 and at most {TIMEOUT_S_MAX:g}"
    return Reference(given["tests"], entry, timeout_s)


def _lacks(tree: ast.Module) -> str:
    """Say what keeps the tests from being run, "" if nothing does."""
    asserts = False
    for node in ast.walk(tree):
        asserts = asserts or isinstance(node, ast.Assert | ast.Raise) or _is_assertion(node)
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "."]
        for name in names:
            if name.partition(".")[0] not in {*sys.stdlib_module_names, "solution"}:
                return f"the tests import {name}, and only the standard library and `solution` are there"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test") and _wants_arguments(node):
            return f"line {node.lineno} of the tests: {node.name} has parameters, and nobody gives them values"
    return "" if asserts else "the tests assert nothing"


def _is_assertion(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr.startswith(("assert", "fail"))
    )


def _wants_arguments(function: ast.FunctionDef) -> bool:
    given = function.args
    return len(given.posonlyargs) + len(given.args) > len(given.defaults)


def _defines(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in tree.body)


def _parse(text: str) -> ast.Module | None:
    if len(text) > CHARS_MAX:
        return None
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
