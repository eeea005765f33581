"""Verifiers that misbehave on request, for the tests of the pool: the response says how."""

import itertools
import os
import signal
import time
from pathlib import Path

from filters.verdict import KEEP, Outcome, Verdict, reject


class Strange:
    """Keeps whatever it does not understand."""

    def __init__(self):
        self._calls = itertools.count()

    def gradable(self, reference: str) -> bool:
        return reference != "not gradable"

    def verify(self, response: str, reference: str) -> Verdict:
        what, _, argument = response.partition(":")
        act = getattr(self, f"do_{what}", None)
        return (act(argument) if act else None) or KEEP

    def do_nap(self, seconds: str) -> None:
        time.sleep(float(seconds))

    def do_compute(self, _: str) -> None:
        _ = 9 ** (9**9)  # one operation in C: no signal handler and no other thread gets a turn

    def do_raise(self, text: str) -> None:
        raise RuntimeError(text)

    def do_print(self, text: str) -> None:
        print(text)  # noqa: T201 - that is the mischief

    def do_die(self, code: str) -> None:
        os._exit(int(code))

    def do_crash(self, _: str) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    def do_die_once(self, path: str) -> None:
        if not Path(path).exists():
            Path(path).touch()
            os._exit(1)

    def do_eat(self, _: str) -> None:
        bytearray(64 << 30)

    def do_reject(self, _: str) -> Verdict:
        return reject("wrong_answer")

    def do_count(self, _: str) -> Verdict:
        return Verdict(Outcome.KEEP, evidence={"calls": next(self._calls)})

    def do_tell(self, _: str) -> Verdict:
        return Verdict(Outcome.KEEP, evidence={"pid": os.getpid(), "environment": sorted(os.environ)})

    def do_note_pid(self, path: str) -> None:
        Path(path).write_text(str(os.getpid()))
        time.sleep(600)


class Quick(Strange):
    """Fails in the caller's own process."""

    def quick(self, response: str, reference: str) -> Verdict | str:
        raise ZeroDivisionError("quick broke")


VERIFIERS = {"strange": Strange(), "quick": Quick()}
