"""`make torture`: a batch survives `kill -9` of everything, again and again, and nothing is lost or stored twice.

Two workers, the API and Postgres are each killed at random moments and started again at once, and one worker is frozen
beyond its lease. A user with the stock `openai` SDK uploads, waits and downloads meanwhile. The teacher counts its
calls outside the database. Exit code 1 when anything is off.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench.crew import Crew, Member
from bench.customer import TEACHER, Customer
from tests.postgres import PostgresMissing, PostgresServer

LIFE_MIN_S = 0.5
"""Some processes are killed while they still start, most in the middle of their work."""
FREEZE_AT, FREEZE_LEASES = 0.3, 2.5
AWAKE_PART = 0.6
"""Of the longest life: how long the worker that is frozen has been at work before, and may be after."""
TAKING_IN = {"uploading": "postgres", "submitting": "api"}
"""Who is killed while the customer's file is on its way in, before a single answer is there: once, in this time."""
TAKING_IN_S = 2.0
KILLS_UNTIL = 0.85
"""The last kills are drawn before this part of the answers was asked for."""
TELL_EVERY_S = 2.0
ASLEEP = "its lease passed to another worker"
"""What a worker's log says when it wakes up and finds that its shards are others'."""


@dataclass
class Victim:
    """A process to be killed, at these parts of the work."""

    name: str
    crash: Callable[[], None]
    start: Callable[[], None]
    runs: Callable[[], bool]
    due: list[float]
    life_s: float = 0.0
    started_at: float = field(default_factory=time.monotonic)
    killed: int = 0
    ended: int = 0
    """Times it ended by itself, such as an API that came up before its database."""


class Torture:
    """One run. `play` it; afterwards `problems` says what was off."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self.given, self.folder = given, folder
        self.chance = random.Random(given.seed)
        self.problems: list[str] = []
        self.checks: list[tuple[str, str, str, bool]] = []
        self.began = time.monotonic()
        self.postgres: PostgresServer | None = None if given.sqlite else PostgresServer(folder)
        scenario = {"latency_ms": given.latency_ms, "latency_sigma": 0.5, "answer": "echo", "seed": given.seed}
        settings = {
            "lease_s": given.lease_s,
            "drain_s": 5,
            "request_timeout_s": 60,
            "shard_prompts": given.shard_prompts,
        }
        url = self.postgres.url if self.postgres else ""
        self.crew = Crew(folder, given.workers, scenario, url, **settings)
        self.customer = Customer(self.crew.url, given.lines)
        self.frozen: tuple[Member, float] | None = None
        self.froze = False
        self.phase = ""
        self.told_at = 0.0

    def play(self) -> None:
        """Run the batch and the kills; leaves the outcome in `checks` and `problems`."""
        if self.postgres:
            self.postgres.start()
            self.postgres.wait()
        self.crew.start(TEACHER, self.given.in_flight)
        self.say(f"up: API, {self.given.workers} workers, {'Postgres' if self.postgres else 'SQLite'}, fake teacher")
        victims = self.victims()
        self.customer.start()
        while self.customer.is_alive() or self.frozen:
            if time.monotonic() - self.began > self.given.bound_s:
                self.problems.append(
                    f"not done within {self.given.bound_s:g} s; the customer was {self.customer.phase}"
                )
                break
            self.hurt(victims)
            time.sleep(0.1)
        self.judge(victims)

    def victims(self) -> list[Victim]:
        """Return what is to be killed and when, drawn from the seed."""

        def draw() -> list[float]:
            return sorted(self.chance.uniform(0.0, KILLS_UNTIL) for _ in range(self.given.kills))

        members = [*self.crew.workers, self.crew.api]
        found = [Victim(each.name, each.crash, each.start, lambda each=each: each.runs, draw()) for each in members]
        if self.postgres:
            server = self.postgres
            found.append(Victim("postgres", server.crash, server.start, lambda: server.runs, draw()))
        return found

    def hurt(self, victims: Sequence[Victim]) -> None:
        """Do what is due: start again what ended, kill, freeze and thaw."""
        asked = self.crew.asked()["choices"]
        part = asked / self.given.lines if self.customer.batch_id else -0.5
        now = time.monotonic()
        if self.customer.phase != self.phase:
            self.phase = self.customer.phase
            for victim in victims:
                if victim.due and victim.name == TAKING_IN.get(self.phase):
                    victim.due[0], victim.started_at, victim.life_s = -1.0, now, self.chance.uniform(0.0, TAKING_IN_S)
        for victim in victims:
            if not victim.runs():
                victim.ended += 1
                self.revive(victim)
            elif self.is_spared(victim, part) or not victim.due or now - victim.started_at < victim.life_s:
                continue
            elif part >= victim.due[0]:
                victim.due.pop(0)
                victim.crash()
                victim.killed += 1
                self.revive(victim)
                self.say(f"killed {victim.name} ({victim.killed} of {self.given.kills}) while {self.customer.phase}")
        self.freeze_and_thaw(victims[0], part, now)
        if now - self.told_at > TELL_EVERY_S:
            self.told_at = now
            self.say(
                f"{self.customer.phase}; asked {asked:,}, stored {self.customer.completed:,} of {self.given.lines:,}"
            )

    def revive(self, victim: Victim) -> None:
        """Start a process again, at once, and draw how long it may live."""
        victim.start()
        victim.started_at = time.monotonic()
        victim.life_s = self.chance.uniform(LIFE_MIN_S, self.given.life_s)

    def is_spared(self, victim: Victim, part: float) -> bool:
        """Whether the victim sleeps right now, or is the next to."""
        is_due = part >= FREEZE_AT and not self.froze
        return victim.name == self.crew.workers[0].name and (is_due or self.frozen is not None)

    def freeze_and_thaw(self, victim: Victim, part: float, now: float) -> None:
        """Freeze the first worker once, in the middle of its work and beyond its lease, and let it go on."""
        worker, frozen_s = self.crew.workers[0], FREEZE_LEASES * self.given.lease_s
        awake_s = AWAKE_PART * self.given.life_s
        if not self.froze and part >= FREEZE_AT and worker.runs and now - victim.started_at > awake_s:
            self.froze, self.frozen = True, (worker, now)
            worker.freeze()
            self.say(f"froze {worker.name} for {frozen_s:g} s; its lease is {self.given.lease_s:g} s")
        elif self.frozen and now - self.frozen[1] > frozen_s:
            self.frozen = None
            worker.thaw()
            self.say(f"{worker.name} goes on")
            # Time to find that its shards are others' now: what it does then is what this is about.
            victim.started_at, victim.life_s = now, awake_s

    def judge(self, victims: Sequence[Victim]) -> None:
        """Compare what came out with what went in."""
        lines, customer, given = self.given.lines, self.customer, self.given
        if customer.trouble:
            self.problems.append(f"the customer: {customer.trouble}")
        asked = self.crew.asked()
        ids = customer.found
        self.check("lines in the output file", len(ids), lines)
        self.check("… ids missing", len(customer.wanted - set(ids)), 0)
        self.check("… ids there twice", len(ids) - len(set(ids)), 0)
        self.check("… that answer another prompt", customer.mixed_up, 0)
        self.check("file read while it ran: ids there twice", customer.early_doubles, 0)
        self.check("batch", customer.status, "completed")
        self.check("request_counts: completed, failed", customer.counts, (lines, 0))
        native = self.native_counts(customer.batch_id)
        self.check("answers stored, failed, pending", native, (lines, 0, 0))
        for victim in victims:
            self.check(f"kill -9 of {victim.name}", victim.killed, given.kills)
        self.check("workers frozen beyond their lease", int(self.froze), 1)
        kills = sum(victim.killed for victim in victims) + int(self.froze)
        waste = asked["choices"] - lines
        bound = kills * given.in_flight
        self.check(
            "teacher calls beyond what is stored",
            f"{waste:,}",
            f"<= {bound:,} = {kills} * {given.in_flight}",
            waste <= bound,
        )

    def check(self, what: str, found: Any, wanted: Any, is_right: bool | None = None) -> None:
        """Note one comparison; by default both sides must be equal."""
        right = found == wanted if is_right is None else is_right
        self.checks.append((what, _shown(found), _shown(wanted), right))
        if not right:
            self.problems.append(f"{what}: {_shown(found)}, not {_shown(wanted)}")

    def native_counts(self, batch_id: str) -> tuple[int, int, int]:
        """Return what the batch's own page counts."""
        with suppress(httpx.HTTPError, KeyError):
            counts = self.crew.http.get(f"{self.crew.url}/api/batches/{batch_id}").json()["counts"]
            return counts["stored"], counts["failed"], counts["pending"]
        return 0, 0, 0

    def summary(self, ended: Sequence[str]) -> str:
        """Return the page that is printed at the end."""
        took = time.monotonic() - self.began
        where = "Postgres" if self.postgres else "SQLite"
        width = max(len(what) for what, *_ in self.checks) if self.checks else 0
        rows = [
            f"  {what:<{width}}  {found:>12}  wanted {wanted:<22} {'ok' if right else 'OFF'}"
            for what, found, wanted, right in self.checks
        ]
        woken = self.crew.workers[0].log
        gave_up = woken.read_text(errors="replace").count(ASLEEP) if woken.exists() else 0
        facts = [
            f"{self.given.lines:,} lines on {where} in {took:.0f} s; {self.given.in_flight} in flight a worker",
            f"{self.crew.workers[0].name} gave up {gave_up} shards that had passed to another while it slept or waited",
            f"the customer began a request anew {self.customer.retries} times, after the SDK's own retries",
            f"ended by pid: {', '.join(ended)}",
        ]
        verdict = "NOTHING LOST, NOTHING TWICE" if not self.problems else "OFF: " + "; ".join(self.problems)
        return "\n".join(["", *rows, "", *(f"  {fact}" for fact in facts), "", verdict])

    def stop(self) -> list[str]:
        """End everything that was started; return what was there."""
        if self.frozen:
            self.frozen[0].thaw()
        ended = self.crew.stop()
        if self.postgres and self.postgres.runs:
            self.postgres.stop()
            ended.append("postgres")
        return ended

    def say(self, what: str) -> None:
        """Tell of the progress."""
        print(f"{time.monotonic() - self.began:6.1f} s  {what}", flush=True)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when nothing was lost or doubled, 1 when something was, 2 when this machine cannot run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=20_000, help="prompts in the batch")
    parser.add_argument("--kills", type=int, default=10, help="how often each process is killed")
    parser.add_argument("--in-flight", type=int, default=256, help="requests that each worker keeps with the teacher")
    parser.add_argument("--latency-ms", type=float, default=1500.0, help="the teacher's median; the tail is long")
    parser.add_argument("--shard-prompts", type=int, default=256, help="prompts in one job")
    parser.add_argument("--lease-s", type=float, default=4.0, help="how long a silent worker keeps a shard")
    parser.add_argument("--life-s", type=float, default=7.0, help="longest that a process lives between two kills")
    parser.add_argument("--bound-s", type=float, default=600.0, help="longest that all of it may take")
    parser.add_argument("--seed", type=int, default=0, help="of the moments; the machine adds its own chance")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sqlite", action="store_true", help="the embedded database, which is no process to be killed")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="retort-torture-"))
    try:
        torture = Torture(given, folder)
    except PostgresMissing as missing:
        shutil.rmtree(folder)
        print(f"{missing}; or run it with --sqlite", file=sys.stderr)
        return 2
    ended: list[str] = []
    try:
        torture.play()
    except RuntimeError as error:
        torture.problems.append(str(error))
    except (KeyboardInterrupt, SystemExit):
        torture.problems.append("interrupted")
    finally:
        ended = torture.stop()
        print(torture.summary(ended))
        if torture.problems:
            print(f"logs: {folder}")
        else:
            shutil.rmtree(folder)
    return 1 if torture.problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
