import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from filters.verdict import KEEP, abstain
from filters.verifiers.pool import READ_AHEAD, Pool, PoolError
from filters.verifiers.staff import Staff

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture
def strange(monkeypatch):
    """Make a pool of verifiers that misbehave on request."""
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    pools = []

    def make(**changes):
        pools.append(Pool(registry="strange_verifiers:VERIFIERS", **{"timeout_s": 30, "processes": 1} | changes))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def items(*responses):
    return [("strange", response, "reference") for response in responses]


def reasons(verdicts):
    return [verdict.reason or verdict.outcome.value for verdict in verdicts]


def gone(pid: int, within_s: float = 10) -> bool:
    """Tell whether a process ends in time; one that only waits to be reaped has ended."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_verdicts_come_in_the_order_of_the_items(strange):
    given = items(*(f"reject:{n}" if n % 3 else f"nap:{0.2 if n == 0 else 0.001 * n}" for n in range(60)))
    expected = ["wrong_answer" if n % 3 else "keep" for n in range(60)]
    assert reasons(strange(processes=2).verify_many(given)) == expected


@pytest.mark.parametrize("hostile", ["nap:600", "compute:"])
def test_an_item_past_its_time_abstains_and_its_neighbours_are_judged(strange, hostile):
    pool = strange(timeout_s=2)
    started = time.monotonic()
    verdicts = reasons(pool.verify_many(items("a", "reject:1", hostile, "b", "reject:2", "c")))
    assert verdicts == ["keep", "wrong_answer", "verifier_timeout", "keep", "wrong_answer", "keep"]
    assert time.monotonic() - started < 60


def test_an_item_just_in_time_is_judged(strange):
    assert reasons(strange(timeout_s=5).verify_many(items("nap:0.5", "nap:0.5"))) == ["keep", "keep"]


def test_a_crash_of_the_verifier_abstains_with_its_text(strange):
    verdict = strange().verify("strange", "raise:no such table", "reference")
    assert (verdict.outcome, verdict.reason) == ("abstain", "verifier_error")
    assert "no such table" in verdict.detail


def test_a_crash_in_the_callers_own_process_abstains_too(strange):
    verdict = strange().verify("quick", "anything", "reference")
    assert (verdict.outcome, verdict.reason) == ("abstain", "verifier_error")


@pytest.mark.parametrize("death", ["die:3", "crash:"])
def test_a_process_that_dies_twice_of_an_item_abstains_and_the_rest_are_judged(strange, death):
    verdicts = list(strange().verify_many(items("a", death, "reject:1")))
    assert reasons(verdicts) == ["keep", "verifier_error", "wrong_answer"]
    assert "ended with code" in verdicts[1].detail


def test_a_process_that_dies_once_costs_no_verdict(strange, tmp_path):
    assert reasons(strange().verify_many(items("a", f"die_once:{tmp_path / 'died'}", "b"))) == ["keep", "keep", "keep"]


def test_memory_is_capped(strange):
    assert reasons(strange().verify_many(items("eat:", "a"))) == ["verifier_error", "keep"]


def test_what_a_verifier_prints_does_not_disturb_the_replies(strange):
    assert reasons(strange().verify_many(items('print:["keep", "", "", null]', "reject:1"))) == ["keep", "wrong_answer"]


def test_a_reference_that_is_not_gradable_abstains(strange):
    assert strange().verify("strange", "a", "not gradable").reason == "reference_not_gradable"


def test_verdicts_among_the_items_pass_through_in_their_place(strange):
    known = abstain("no_reference")
    assert list(strange().verify_many([known, *items("a"), KEEP])) == [known, KEEP, KEEP]


def test_equal_items_are_judged_once(strange):
    verdicts = list(strange().verify_many(items(*["count:same"] * 5, "count:other", "count:same")))
    assert len({verdict.evidence["calls"] for verdict in verdicts}) == 2


def test_half_a_character_and_control_characters_cross_the_pipe(strange):
    assert reasons(strange().verify_many(items("\ud800", "\x00\n\r\u2028", "reject:\udfff"))) == [
        "keep",
        "keep",
        "wrong_answer",
    ]


def test_it_works_in_a_thread_and_in_two_at_once(strange):
    pool = strange(processes=2)
    results = {}

    def work(name):
        results[name] = reasons(pool.verify_many(items("a", f"nap:0.0{name}", "reject:1")))

    threads = [threading.Thread(target=work, args=(name,)) for name in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == {1: ["keep", "keep", "wrong_answer"], 2: ["keep", "keep", "wrong_answer"]}


def test_children_outlive_the_thread_that_first_used_them(strange):
    pool = strange()
    first = []
    thread = threading.Thread(target=lambda: first.append(pool.verify("strange", "tell:1", "reference")))
    thread.start()
    thread.join(60)
    time.sleep(0.2)
    assert pool.verify("strange", "tell:2", "reference").evidence["pid"] == first[0].evidence["pid"]


def test_reading_ahead_is_bounded(strange):
    read = itertools.count()
    endless = ((("strange", "nap:0.3" if n == 0 else f"reject:{n}", "reference")) for n in read)
    verdicts = strange().verify_many(endless)
    next(verdicts)
    verdicts.close()
    assert next(read) <= READ_AHEAD + 1


def test_verdicts_that_come_at_once_read_nothing_ahead():
    read = itertools.count()
    with Pool() as pool:
        verdicts = pool.verify_many(("exact", "a", "a") for _ in read)
        assert next(verdicts) == KEEP
        verdicts.close()
    assert next(read) == 1


def test_an_unknown_verifier_is_an_error_not_a_verdict(strange):
    with pytest.raises(KeyError):
        strange().verify("no such", "a", "reference")


def test_a_pool_whose_processes_cannot_start_says_why(strange, monkeypatch):
    monkeypatch.delenv("PYTHONPATH")
    with pytest.raises(PoolError, match="No module named 'strange_verifiers'"):
        strange().verify("strange", "a", "reference")


def test_no_secret_of_ours_reaches_a_child(strange, monkeypatch):
    monkeypatch.setenv("RETORT_API_KEY", "secret")
    assert "RETORT_API_KEY" not in strange().verify("strange", "tell:", "reference").evidence["environment"]


def test_leaving_a_run_half_way_ends_its_child(strange, tmp_path):
    pool = strange(timeout_s=600)
    verdicts = pool.verify_many(items("tell:", "nap:600"))
    pid = next(verdicts).evidence["pid"]
    verdicts.close()
    assert gone(pid)


def test_closing_the_pool_ends_idle_children(strange):
    pool = strange()
    pid = pool.verify("strange", "tell:", "reference").evidence["pid"]
    pool.close()
    assert gone(pid)


def test_lent_children_judge_for_one_pool_after_the_other_and_end_once_nobody_comes(strange):
    made = strange()
    staff = Staff(made._staff.registry, made._staff.memory_bytes, idle_s=3)
    pids = set()
    with staff.lent():
        for _ in range(2):
            with strange() as pool:
                pids.add(pool.verify("strange", "tell:", "reference").evidence["pid"])
    (pid,) = pids
    assert not gone(pid, within_s=0)
    assert gone(pid)
    with staff.lent(), strange() as pool:
        again = pool.verify("strange", "tell:", "reference").evidence["pid"]
    staff.dismiss()
    assert gone(again)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("busy_with", ["nap:600", "compute:"])
def test_children_die_with_their_parent_whatever_they_are_doing(tmp_path, how, busy_with):
    note = tmp_path / "pid"
    code = (
        "from filters.verifiers.pool import Pool\n"
        "pool = Pool(registry='strange_verifiers:VERIFIERS', timeout_s=600, processes=2)\n"
        f"print(pool.verify('strange', 'tell:', 'r').evidence['pid'], flush=True)\n"
        f"list(pool.verify_many([('strange', {busy_with!r}, 'r'), ('strange', 'note_pid:{note}', 'r')] * 4))\n"
    )
    path = os.pathsep.join([str(ROOT), str(HERE)])
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    ) as parent:
        pids = [int(parent.stdout.readline())]
        time.sleep(1)
        parent.send_signal(how)
    if note.exists():
        pids.append(int(note.read_text()))
    assert all(gone(pid) for pid in pids)


HOSTILE = {
    "tower": r"\boxed{9^{9^{9^9}}}",
    "factorial": r"\boxed{(10^{10})!}",
    "sum": r"\boxed{\sum_{n=1}^{10^{12}} n^n}",
    "nested": r"\boxed{" + "{" * 1500 + "x" + "}" * 1500 + "}",
    "deeply nested": r"\boxed{" + "{" * 100_000 + "42" + "}" * 100_000 + "}",
    "set": r"\boxed{\{" + ",".join(map(str, range(900))) + r", x\}}",
    "large set": r"\boxed{\{" + ",".join(map(str, range(5000))) + r"\}}",
    "braces": "{" * 500_000 + "}" * 500_000,
    "boxes": r"\boxed{x}, " * 100_000,
}


def test_hostile_mathematics_never_stalls_and_never_counts_against_its_neighbours():
    honest = ("math", r"\boxed{y + x}", "x + y")
    given = [item for response in HOSTILE.values() for item in (("math", response, r"\{1, 2\}"), honest)]
    started = time.monotonic()
    with Pool(timeout_s=4, processes=2) as pool:
        verdicts = list(pool.verify_many(given))
    assert time.monotonic() - started < 240
    assert [verdict.outcome.value for verdict in verdicts[1::2]] == ["keep"] * len(HOSTILE)
    hostile = dict(zip(HOSTILE, verdicts[::2], strict=True))
    assert hostile["tower"].reason == "verifier_timeout"
    assert hostile["deeply nested"].reason == "answer_too_long"
    assert "keep" not in {verdict.outcome.value for verdict in hostile.values()}
