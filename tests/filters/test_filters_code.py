import json

import pytest

from filters.sandbox.cell import SandboxUnavailable
from filters.sandbox.ready import ready
from filters.verifiers import code
from filters.verifiers.pool import Pool
from tests.conftest import leave_out

ADD = "def add(a, b):\n    return a + b\n"


@pytest.fixture
def sandbox():
    try:
        ready()
    except SandboxUnavailable as error:
        leave_out(f"programs in the sandbox: {error}")


@pytest.mark.parametrize(
    ("response", "program"),
    [
        (f"So:\n```python\n{ADD}```\nDone.", ADD),
        (f"```py\n{ADD}```\nUse it so:\n```python\nprint(add(1, 2))\n```", ADD),
        (f"```python\ndef add(a, b): return 0\n```\nNo, better:\n```python\n{ADD}```", ADD),
        (f"```\n{ADD}```", ADD),
        (f"~~~python\n{ADD}~~~", ADD),
        (f"```python\n{ADD}", ADD),
        (f"```bash\npip install x\n```\n```python\n{ADD}```\n```text\n3\n```", ADD),
        ("```python\nprint(1)\n```", "print(1)\n"),
        (ADD, ADD),
        ("It is 42.", None),
        ("42", None),
        ("", None),
        ("```javascript\nlet a = 1\n```", None),
    ],
)
def test_the_program_is_the_last_block_that_defines_something(response, program):
    assert code.extract(response) == program


@pytest.mark.parametrize(
    ("reference", "gradable"),
    [
        ("assert add(1, 2) == 3", True),
        ("def check(candidate):\n    assert candidate(1, 2) == 3", True),
        ("import unittest\nclass T(unittest.TestCase):\n    def test_it(self): self.assertTrue(add(1, 2))", True),
        ('["assert add(1, 2) == 3", "assert add(0, 0) == 0"]', True),
        ('{"tests": "assert add(1, 2) == 3", "timeout_s": 2}', True),
        ("from solution import add\nassert add(1, 2) == 3", True),
        ("add(1, 2) == 3", False),
        ("assert add(1, 2) ==", False),
        ("import numpy\nassert add(1, 2) == 3", False),
        ("def test_it(tmp_path):\n    assert add(1, 2) == 3", False),
        ('{"tests": 5}', False),
        ('{"tests": "assert f()", "timeout_s": 1e9}', False),
        ("(" * 100_000, False),
        ("42", False),
    ],
)
def test_a_reference_is_gradable_if_it_is_tests_that_can_run_here(reference, gradable):
    assert code.gradable(reference) is gradable


# What tests in the wild do with a program, and a program that is right.
RIGHT = {
    "check": (ADD, "def check(candidate):\n    assert candidate(1, 2) == 3"),
    "entry point": ("def add(a, b): return a + b\ndef other(): pass", {"entry_point": "add"}),
    "test functions": (ADD, "def test_add():\n    assert add(1, 2) == 3"),
    "unittest": (
        ADD,
        "import unittest\nclass T(unittest.TestCase):\n    def test_it(self): self.assertEqual(add(1, 2), 3)\n"
        "    def test_error(self):\n        with self.assertRaises(TypeError): add(1, 'a')\n"
        "if __name__ == '__main__': unittest.main()",
    ),
    "import": (ADD, "from solution import add as plus\nassert plus([1], [2]) == [1, 2]"),
    "names of the program's imports": ("import math\nfrom typing import List\ndef half(x): return x / 2",
                                       "assert math.isclose(half(3), 1.5)"),
    "its own pow": ("def pow(a, b): return a ** b", "assert pow(2, 10) == 1024"),
    "changed in place": ("def put(xs, d): xs.sort(); d['n'] = len(xs)",
                         "xs, d = [3, 1, 2], {}\nput(xs, d)\nassert xs == [1, 2, 3] and d == {'n': 3}"),
    "the same list": ("def same(xs): return xs", "xs = [[1], 2]\nassert same(xs) is xs"),
    "a cycle": ("def tie(xs): xs.append(xs); return xs", "xs = tie([1])\nassert xs[1] is xs"),
    "objects": (
        "class Stack:\n    def __init__(self): self.items = []\n    def push(self, x): self.items.append(x)\n"
        "    def __len__(self): return len(self.items)\n    def __contains__(self, x): return x in self.items",
        "s = Stack()\ns.push(4)\nassert len(s) == 1 and 4 in s and s.items == [4] and isinstance(s, Stack)",
    ),
    "lists of objects": (
        "class Node:\n    def __init__(self, v): self.v, self.kids = v, []\n"
        "def total(n): return n.v + sum(map(total, n.kids))",
        "root = Node(1)\nkids = root.kids\nroot.kids.append(Node(2))\nroot.kids[0].kids.append(Node(3))\n"
        "assert total(root) == 6 and kids is root.kids",
    ),
    "objects of the tests": (
        "def reverse(node):\n    last = None\n    while node: node.next, last, node = last, node, node.next\n"
        "    return last",
        "class Node:\n    def __init__(self, v, n=None): self.v, self.next = v, n\n"
        "n = reverse(Node(1, Node(2)))\nassert (n.v, n.next.v, n.next.next) == (2, 1, None)",
    ),
    "equal objects": (
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass P:\n    x: int\n    y: int = 0",
        "assert P(1) == P(1, 0) != P(2) and {P(1): 'a'}[P(1)] == 'a' and repr(P(1)) == 'P(x=1, y=0)'",
    ),
    "arithmetic of objects": (
        "class V:\n    def __init__(self, x, y): self.x, self.y = x, y\n"
        "    def __mul__(self, n): return V(self.x * n, self.y * n)\n    __rmul__ = __mul__\n"
        "    def __eq__(self, o): return (self.x, self.y) == (o.x, o.y)",
        "assert V(1, 2) * 3 == V(3, 6) and (2 * V(1, 2)).y == 4",
    ),
    "named tuples and enums": (
        "from collections import namedtuple\nfrom enum import Enum, IntEnum\nP = namedtuple('P', 'x y')\n"
        "class C(IntEnum):\n    RED = 1\nclass D(Enum):\n    UP = 'up'\ndef f(): return P(1, 2)\ndef d(): return D.UP",
        "assert f() == (1, 2) and f().y == 2 and C.RED == 1 and C.RED + 1 == 2 and d() is D.UP and D.UP.value == 'up'",
    ),
    "exceptions": (
        "class Broke(ValueError):\n    def __init__(self, n): super().__init__(f'broke {n}'); self.n = n\n"
        "def f(): raise Broke(3)",
        "try: f()\nexcept Broke as e: assert str(e) == 'broke 3' and e.n == 3 and isinstance(e, ValueError)\n"
        "else: assert False",
    ),
    "functions handed over": ("def twice(f, x): return f(f(x))\ndef adder(n): return lambda x: x + n",
                              "assert twice(lambda x: x * 3, 1) == 9 and adder(2)(3) == 5"),
    "generators": ("def count(n):\n    while True:\n        yield n\n        n += 1",
                   "import itertools\nassert list(itertools.islice(count(3), 3)) == [3, 4, 5]"),
    "coroutines": ("import asyncio\nasync def f(n):\n    await asyncio.sleep(0)\n    return n",
                   "import asyncio\nasync def both(): return await asyncio.gather(f(1), f(2))\n"
                   "assert asyncio.run(both()) == [1, 2]"),
    "what it prints": ("def hi(): print('hello')",
                       "import io, contextlib\nwith contextlib.redirect_stdout(io.StringIO()) as out: hi()\n"
                       "assert out.getvalue() == 'hello\\n'"),
    "what it reads": ("def double(): return 2 * int(input('n? '))",
                      "from unittest.mock import patch\nwith patch('builtins.input', return_value='4'): r = double()\n"
                      "assert r == 8"),
    "values of many kinds": (
        "def same(x): return x",
        "import datetime, decimal, fractions, collections\n"
        "for v in [None, 2 ** 5000, 1e308, float('inf'), 'a\\ud800', b'\\xff',"
        " {1, 2}, frozenset([(1,)]), {(1, 2): [3]}, 1j, range(3), collections.Counter('aab'), decimal.Decimal('0.1'),"
        " fractions.Fraction(1, 3), datetime.date(2024, 2, 29), datetime.datetime(2024, 1, 1, 5),"
        " collections.deque([1])]:\n"
        "    assert same(v) == v and type(same(v)) is type(v), v",
    ),
}  # fmt: skip


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_program_is_kept(name):
    program, tests = RIGHT[name]
    if isinstance(tests, dict):
        tests = json.dumps({"tests": "def check(f): assert f(1, 2) == 3", **tests})
    verdict = code.verify(f"```python\n{program}\n```", tests)
    assert verdict.outcome == "keep", verdict


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    ("program", "tests", "reason", "said"),
    [
        (
            "def add(a, b): return a - b",
            "x = 1\nassert add(1, 2) == 3",
            "tests_failed",
            "line 2 of the tests: assert add(1",
        ),
        ("def add(a, b): return a / 0", "assert add(1, 2) == 3", "tests_failed", "line 1 of the program\nZeroDivision"),
        ("def plus(a, b): return a + b", "assert add(1, 2) == 3", "tests_failed", "name 'add' is not defined"),
        ("def add(a, b) return", "assert add(1, 2) == 3", "program_failed", "SyntaxError"),
        ("1 / 0", "assert add(1, 2) == 3", "program_failed", "ZeroDivisionError"),
    ],
)
def test_a_wrong_program_is_rejected_with_the_line_that_failed(program, tests, reason, said):
    verdict = code.verify(f"```python\n{program}\n```", tests)
    assert (verdict.outcome, verdict.reason) == ("reject", reason)
    assert said in verdict.evidence["said"]


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    ("program", "tests", "reason"),
    [
        ("class A:\n    def one(self): return 1", "class B(A): pass\nassert B().one() == 1", "tests_disagree"),
        ("import numpy\ndef f(): return 1", "assert f() == 1", "module_missing"),
        ("def f(): return 1", "import os\nassert f() == 1\nos._exit(0)", "tests_crashed"),
    ],
)
def test_what_cannot_be_told_abstains(program, tests, reason):
    verdict = code.verify(f"```python\n{program}\n```", tests)
    assert (verdict.outcome, verdict.reason) == ("abstain", reason)


def test_no_program_is_rejected_and_no_tests_abstain():
    assert code.verify("I cannot help with that.", "assert f() == 1").reason == "no_code"
    assert code.verify(ADD, "f() == 1").reason == "reference_not_gradable"


@pytest.mark.usefixtures("sandbox")
def test_programs_are_judged_in_the_pools_children():
    loop = "```python\nwhile True: pass\n```"
    items = [("code", ADD, "assert add(1, 2) == 3"), ("code", loop, "assert add(1, 2) == 3"), ("exact", "a", "a")]
    with Pool(processes=2) as pool:
        verdicts = [verdict.reason or verdict.outcome for verdict in pool.verify_many(items)]
    assert verdicts == ["keep", "time_limit", "keep"]
