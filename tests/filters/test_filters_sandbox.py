import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from filters.sandbox import ready, seccomp, slots
from filters.sandbox.cell import SandboxUnavailable
from filters.sandbox.trial import trial
from filters.verifiers import code
from filters.verifiers.pool import Pool
from tests.conftest import leave_out
from tests.processes import descendants

ROOT = Path(__file__).parents[2]
GOOD = "def add(a, b):\n    return a + b\n"
TESTS = "assert add(2, 3) == 5"
QUICK = json.dumps({"tests": TESTS, "timeout_s": 1.5})


@pytest.fixture(autouse=True)
def working():
    try:
        ready.ready()
    except SandboxUnavailable as error:
        leave_out(f"programs in the sandbox: {error}")


@pytest.fixture
def reachable():
    """Make a folder that every user of this machine can read, unlike those of `tmp_path`."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def sandboxed() -> list[int]:
    """Return what runs under one of the sandbox's users, or under ours with the sandbox's command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            user = folder.stat().st_uid
            if slots._FIRST <= user <= slots._LAST or b"filters.sandbox.inside" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def none_left(within_s: float = 10) -> bool:
    return eventually(lambda: not any(map(runs, sandboxed())), within_s)


def eventually(holds, within_s: float) -> bool:
    end = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def fenced(program: str) -> str:
    return f"Here it is:\n\n```python\n{program}\n```\n"


def around(attack: str) -> str:
    """Make a program that is right if its attack goes through, and raises otherwise."""
    body = attack.replace("\n", "\n    ")
    return f"import ctypes, os, signal, socket\n\ndef add(a, b):\n    {body}\n    return a + b\n"


SYSCALL = "libc = ctypes.CDLL(None, use_errno=True)\nif libc.{}:\n    raise OSError(ctypes.get_errno(), 'refused')"
ATTACKS = {
    "60 fork bomb": ("while True:\n    try: os.fork()\n    except OSError: pass", "time_limit"),
    "60 fork bomb that gives up": ("while True: os.fork()", "tests_failed"),
    "61 4 GiB of memory": ("x = bytearray(4 << 30)", "memory_limit"),
    "62 network": ("socket.create_connection(('127.0.0.1', PORT), 1)", "tests_failed"),
    "62 abstract socket": ("socket.socket(socket.AF_UNIX)", "tests_failed"),
    "63 file of ours": ("open('CANARY').read()", "tests_failed"),
    "63 users": ("open('/etc/passwd').read()", "tests_failed"),
    "63 system": ("open('/usr/planted', 'w')", "tests_failed"),
    "64 environment of process 1": ("open('/proc/1/environ').read()", "tests_failed"),
    "65 loop that ignores SIGTERM": ("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass", "time_limit"),
    "65 sleep": ("import time\ntime.sleep(600)", "time_limit"),
    "65 sleep in a session of its own": ("if os.fork(): return 0\nos.setsid()\nsignal.pause()", "tests_failed"),
    "66 flood of output": ("while True: print('x' * 9999)", "output_limit"),
    "66 flood of errors": ("while True: os.write(2, b'x' * 9999)", "output_limit"),
    "66 large file": ("open('large', 'wb').write(b'x' * (17 << 20))", "tests_failed"),
    "66 many files": ("for n in range(99): open(str(n), 'wb').write(b'x' * (1 << 20))", "tests_failed"),
    "66 a file at the root": ("open('/full', 'wb')", "tests_failed"),
    "67 our process": ("os.kill(OURS, signal.SIGKILL)", "tests_failed"),
    "67 its parent": ("os.kill(os.getppid(), signal.SIGKILL)\nos.kill(os.getpid(), signal.SIGKILL)", "tests_failed"),
    "67 all": ("os.kill(-1, signal.SIGKILL)\nraise ValueError", "tests_failed"),
    "68 ptrace": (SYSCALL.format("ptrace(0, 0, 0, 0)"), "tests_failed"),
    "68 mount": (SYSCALL.format("mount(b'none', b'/tmp', b'tmpfs', 0, 0)"), "tests_failed"),
    "68 namespace": (SYSCALL.format("unshare(0x10000000)"), "tests_failed"),
    "68 shared memory": (SYSCALL.format("shmget(0, 4096, 0o1600) < 0"), "tests_failed"),
    "70 forged PASS": ("print('PASS')\nprint('{\"passed\": true}')\nreturn 0", "tests_failed"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_a_failed_program_and_leaves_nothing_behind(name, reachable):
    attack, reason = ATTACKS[name]
    (reachable / "canary").write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        for word, value in {
            "CANARY": reachable / "canary",
            "PORT": listener.getsockname()[1],
            "OURS": os.getpid(),
        }.items():
            attack = attack.replace(word, str(value))
        verdict = code.verify(fenced(around(attack)), QUICK)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert (verdict.outcome, verdict.reason) == ("reject", reason), verdict
    assert none_left()
    assert code.verify(fenced(GOOD), TESTS).outcome == "keep"


FORGERIES = {
    "ends well": "import sys\nsys.exit(0)",
    "ends at once": "import os\nos._exit(0)",
    "ends in the call": "import os\ndef add(a, b): os._exit(0)",
    "raises SystemExit": "def add(a, b): raise SystemExit(0)",
    "equals everything": "class Any:\n    def __eq__(self, other): return True\ndef add(a, b): return Any()",
    "a number that equals everything": (
        "class N(int):\n    def __eq__(self, other): return True\ndef add(a, b): return N(4)"
    ),
    "patched unittest": (
        "import unittest\nfor n in dir(unittest.TestCase):\n    if n.startswith('assert'):\n"
        "        setattr(unittest.TestCase, n, lambda *a, **k: None)\ndef add(a, b): return 0"
    ),
    "patched builtins": (
        "import builtins\nbuiltins.all = builtins.AssertionError = lambda *a: True\ndef add(a, b): return 0"
    ),
    "names that hide builtins": "def all(x): return True\ndef add(a, b): return 0",
    "names that hide modules": (
        "class math:\n    @staticmethod\n    def isclose(*a, **k): return True\ndef add(a, b): return 0"
    ),
    "skips": "import unittest\ndef add(a, b): raise unittest.SkipTest('no')",
    "a thread that ends all": (
        "import os, threading\nthreading.Timer(0.01, os._exit, (0,)).start()\ndef add(a, b): return 0"
    ),
    "rewrites what it calls": (
        "import sys\ndef add(a, b):\n    f = sys._getframe()\n    while f:\n        f.f_globals['OPERATIONS'] = {}\n"
        "        f = f.f_back\n    return 0"
    ),
    "writes to every descriptor": (
        "import os\ndef add(a, b):\n    for fd in range(64):\n"
        '        try: os.write(fd, b\'{"passed": true, "at": "tests"}\')\n        except OSError: pass\n    return 0'
    ),
}
EACH_KIND = {
    "assert": "assert all(add(n, 2) == n + 2 for n in range(3))",
    "module": "import math\nassert math.isclose(add(1, 2), 3)",
    "module of the program": "assert math.isclose(add(1, 2), 3)",
    "unittest": "import unittest\nclass T(unittest.TestCase):\n    def test_it(self): self.assertEqual(add(2, 3), 5)",
    "check": "def check(candidate):\n    assert candidate(2, 3) == 5\ncheck(add)",
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_pass_is_no_pass(forgery):
    kinds = {"patched unittest": ["unittest"], "names that hide modules": ["module", "module of the program"]}
    for kind in kinds.get(forgery, ["assert"]):
        verdict = code.verify(fenced(FORGERIES[forgery]), EACH_KIND[kind])
        assert verdict.outcome == "reject", verdict


@pytest.mark.parametrize(
    "tests",
    ["assert abs(f() - 3.5) < 1e-6", "assert round(3.5 - f(), 6) == 0", "assert abs(f() / 2 - 1) <= 0.1"],
)
@pytest.mark.parametrize("computed", ["self", "0.0"])
def test_a_number_that_agrees_with_every_other_passes_nothing(tests, computed):
    names = ("__sub__", "__rsub__", "__truediv__")
    program = "class N:\n" + "".join(f"    def {name}(self, other): return {computed}\n" for name in names)
    program += "    def __abs__(self): return 0.0\n    def __round__(self, n=0): return 0.0\ndef f(): return N()"
    assert trial(program, tests).reason in ("tests_disagree", "tests_failed")


def test_a_program_may_not_reach_into_what_the_tests_hand_it():
    program = "def ask(f):\n    return f.__globals__\ndef frame(g):\n    return g.gi_frame.f_globals"
    finding = trial(program, "assert ask(lambda: 1)")
    assert finding.reason in ("tests_failed", "tests_disagree")
    assert "AttributeError" in finding.said
    finding = trial(program, "def g(): yield\nassert frame(g())")
    assert "AttributeError" in finding.said


def test_without_bubblewrap_nothing_is_executed(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    ready._found.cache_clear()
    try:
        verdict = code.verify(fenced(f"open({str(tmp_path / 'ran')!r}, 'w')\n{GOOD}"), TESTS)
    finally:
        ready._found.cache_clear()
    assert (verdict.outcome, verdict.reason) == ("abstain", "sandbox_unavailable")
    assert "apt install bubblewrap" in verdict.detail
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 1", "exit code 1"),
        (f'exec {shutil.which("bwrap")} --ro-bind /etc /etc "$@"', "lets through: foreign_file"),
        (f'exec {shutil.which("bwrap")} --setenv TOKEN x "$@"', "lets through: environment"),
    ],
    ids=["broken", "files", "environment"],
)
def test_a_sandbox_that_fails_its_own_test_runs_nothing(monkeypatch, reachable, script, said):
    (reachable / "bwrap").write_text(f"#!/bin/sh\n{script}\n")
    (reachable / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{reachable}:/usr/bin:/bin")
    ready._found.cache_clear()
    try:
        verdict = code.verify(fenced(GOOD), TESTS)
    finally:
        ready._found.cache_clear()
    assert (verdict.outcome, verdict.reason) == ("abstain", "sandbox_unavailable")
    assert said in verdict.detail


def test_no_secret_of_ours_is_inside(monkeypatch):
    monkeypatch.setenv("RETORT_API_KEY", "secret")
    names = '["HOME", "LANG", "LD_LIBRARY_PATH", "MALLOC_ARENA_MAX", "PATH", "PWD", "PYTHONHASHSEED", "TMPDIR"]'
    program = "import os\ndef names(): return sorted(set(os.environ) - {'LC_CTYPE'})"
    assert trial(program, f"assert names() == {names}").reason == ""


def test_not_even_a_zombie_stays():
    before = set(sandboxed())
    for program in (GOOD, "import os\nos._exit(0)", "import os\nif not os.fork(): os.setsid()\n" + GOOD):
        trial(program, TESTS)
    assert set(sandboxed()) <= before


def test_a_verifier_killed_for_its_time_takes_its_program_along():
    with Pool(timeout_s=1, processes=1) as pool:
        verdict = pool.verify("code", fenced("while True: pass"), TESTS)
    assert verdict.reason == "verifier_timeout"
    assert none_left()


def test_programs_run_side_by_side_each_under_its_own_limit():
    forks = "for _ in range(20):\n        if not os.fork(): time.sleep(9)"
    program = f"import os, time\ndef add(a, b):\n    {forks}\n    return a + b"
    findings = []
    threads = [threading.Thread(target=lambda: findings.append(trial(program, TESTS, timeout_s=8))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [finding.reason for finding in findings] == [""] * 3
    assert none_left()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_programs_end_with_the_process_that_wanted_to_know(how):
    loop = fenced("while True: pass")
    tests = json.dumps({"tests": TESTS, "timeout_s": 60})
    call = (
        f"from filters.verifiers.pool import Pool; Pool(timeout_s=90, processes=1).verify('code', {loop!r}, {tests!r})"
    )
    with subprocess.Popen([sys.executable, "-c", call], cwd=ROOT) as parent:
        eventually(lambda: any(b"inside.program" in command(pid) for pid in descendants(parent.pid)), 60)
        started = descendants(parent.pid)
        parent.send_signal(how)
    assert len(started) >= 3
    assert eventually(lambda: not any(map(runs, started)), 10)


def command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_of_system_calls_jumps_within_itself(machine):
    rules = seccomp.program(machine)
    lines = [rules[at : at + 8] for at in range(0, len(rules), 8)]
    assert lines[-1][:2] == b"\x06\x00"
    assert all(number + 1 + max(line[2], line[3]) < len(lines) for number, line in enumerate(lines[:-1]))
