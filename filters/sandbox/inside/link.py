"""The line between the process of the tests and the process of the program: each asks, the other answers.

The tests' side grants the program's little: to call what it was handed and to read public attributes of it. And it does
not let an object of the program say that it equals plain data: an `__eq__` that is always true would pass any test.
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable
from typing import Any

from filters.sandbox.inside.remote import OPERATIONS, TO_PLAIN, Gone, Remote
from filters.sandbox.inside.values import CONTAINERS, Coder, Met

MESSAGE_BYTES_MAX = 8 << 20
_HIDDEN = ("_", "gi_", "cr_", "ag_", "f_", "tb_", "co_", "func_")
"""Attributes that lead from an object to the frames and globals around it."""
_KEPT_MAX = 64
_KEPT_ITEMS_MAX = 256
"""Both are compared with what the other side knows of them whenever something crosses."""


class Link:
    """One end. `trusting` is the program's end, which lets the tests do anything; `home` is object 0 of this end."""

    def __init__(self, descriptor: int, home: Callable[..., Any], *, trusting: bool):
        self.gone = False
        self.refused = ""
        """What an object of the program claimed to equal, where that decided a comparison."""
        self.doubt = ""
        """Where an object of the program was handed the tests' numbers and answered with a number of its own."""
        self._computed: set[int] = set()
        """Objects of the program that it computed from the tests' numbers."""
        self._fd = descriptor
        self._trusting = trusting
        self._coder = Coder(self._stand_in, self._number_of)
        self._coder.own.append(home)
        self._remotes: dict[int, Remote] = {}
        self._kept: dict[int, tuple[Any, Any]] = {}
        """Containers that are attributes of the program's objects, by number: (ours, its contents as both know it)."""
        self.printed: Callable[[], str] = str
        """Gives what was printed here since it was last asked."""
        self.show: Callable[[str], Any] = lambda text: None
        """Takes what was printed there."""

    def home(self) -> Any:
        """Return what stands for object 0 of the other end."""
        return self._stand_in(0, "")

    def ask(self, operation: str, target: Remote, *args: Any, **named: Any) -> Any:
        """Have the other side do something with an object of its own; raise what it raises."""
        met = Met()
        encoded = [self._coder.encode(value, met) for value in args]
        keywords = {name: self._coder.encode(value, met) for name, value in named.items()}
        self._send({"op": operation, "on": target._remote_number, "args": encoded, "named": keywords})
        while True:
            reply = self._receive()
            if "op" not in reply:
                value = self._take(reply, met, kept=operation == "getattr")
                if operation in TO_PLAIN and target._remote_number in self._computed:
                    self._note(operation, value)
                return value
            self._answer(reply)

    def compute(self, name: str, target: Remote, other: Any) -> Any:
        """Compute with an object of the other side, and note where it thus decides a test: `abs(f(x) - 3.5) < 1e-6`."""
        value = self.ask(name, target, other)
        if self._trusting or (isinstance(other, Remote) and other._remote_number not in self._computed):
            return value
        plain = None if isinstance(value, Remote) else self._plain(target)
        if not plain or OPERATIONS[name](plain[0], other) != value:
            self._note(name, value)
        return value

    def _plain(self, target: Remote) -> list[Any]:
        """Return [the plain value inside an object of theirs], [] where there is none."""
        plain = self.ask("plain", target)
        return plain if type(plain) is list and plain and not isinstance(plain[0], Remote) else []

    def _note(self, operation: str, value: Any) -> None:
        if isinstance(value, Remote):
            self._computed.add(value._remote_number)
        elif not self._trusting:
            self.doubt = f"an object of the program's own class makes a number of the tests' by {operation}"

    def compare(self, name: str, target: Remote, other: Any) -> Any:
        """Compare an object of the other side."""
        if self._trusting or isinstance(other, Remote):
            return self.ask(name, target, other)
        plain = self._plain(target)
        holds = OPERATIONS[name](plain[0], other) if plain else name == "ne"
        if not holds and name != "ne" and self.ask(name, target, other):
            self.refused = f"an object of its own class says {name} of a {type(other).__name__}"
            if name != "eq" and not plain:
                raise TypeError(f"{self.refused}; only plain data is compared with plain data")
        return holds

    def serve(self) -> None:
        """Answer until the other side ends."""
        try:
            while True:
                self._answer(self._receive())
        except Gone:
            return

    def _answer(self, request: dict[str, Any]) -> None:
        met = Met()
        known = 0
        try:
            target = self._coder.own[request["on"]]
            args = [self._coder.decode(value, met) for value in request["args"]]
            named = {name: self._coder.decode(value, met) for name, value in request["named"].items()}
            known = len(met.objects)
            operation = request["op"]
            if (
                not self._trusting
                and operation in ("getattr", "setattr", "delattr")
                and str(args[0]).startswith(_HIDDEN)
            ):
                raise AttributeError(args[0])
            value = OPERATIONS[operation](target, *args, **named)
            after = [self._coder.contents(each, met) for each in met.objects[:known]]
            reply = {"value": self._coder.encode(value, met), "after": after}
            if operation == "getattr" and self._trusting and type(value) in CONTAINERS:
                reply["keep"] = self._keep(self._coder.number(value), value)
        except Gone:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the side that asked
            reply = {**self._raised(error), "after": []}
        self._send({**reply, "printed": self.printed()})

    def _raised(self, error: BaseException) -> dict[str, Any]:
        try:
            args = [self._coder.encode(value, Met()) for value in error.args]
        except BaseException:  # noqa: BLE001 - an exception may hold anything
            args = []
        inside = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<program>"]
        where = f"line {inside[-1].lineno} of the program" if inside else ""
        kind = self._coder.encode(type(error), Met())
        return {"raised": kind, "args": args, "error": self._coder.encode(error, Met()), "where": where}

    def _keep(self, number: int, container: Any) -> int | None:
        """Keep a container the same on both sides, as `node.children.append(…)` in a test wants it."""
        if number not in self._kept:
            if len(self._kept) >= _KEPT_MAX or len(container) > _KEPT_ITEMS_MAX:
                return None
            self._kept[number] = container, self._coder.contents(container, Met())
        return number

    def _changes(self) -> list[Any]:
        """Return the contents of the kept containers that changed here since something last crossed."""
        changes: list[Any] = []
        for number, (container, known) in tuple(self._kept.items()):
            contents = self._coder.contents(container, Met()) if len(container) <= _KEPT_ITEMS_MAX else known
            if contents != known:
                self._kept[number] = container, contents
                changes.append([number, contents])
        return changes

    def _apply(self, changes: list[Any]) -> None:
        for number, contents in changes:
            container = self._kept[number][0]
            self._coder.refill(container, contents, Met())
            self._kept[number] = container, self._coder.contents(container, Met())

    def _take(self, reply: dict[str, Any], met: Met, *, kept: bool) -> Any:
        """Return or raise what was answered, with our containers as they are after the call."""
        try:
            self.show(str(reply["printed"]))
            for container, contents in zip(tuple(met.objects), reply["after"]):  # noqa: B905 - a call that raised tells of none
                self._coder.refill(container, contents, met)
            if "raised" not in reply:
                value = self._coder.decode(reply["value"], met)
                if kept and type(value) in CONTAINERS and reply.get("keep") is not None:
                    self._keep(int(reply["keep"]), value)
                    return self._kept.get(int(reply["keep"]), (value,))[0]
                return value
            error = self._error(reply)
        except Gone:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the program made up
            raise self._lost(f"it sent no proper answer: {error}") from None
        raise error

    def _error(self, reply: dict[str, Any]) -> BaseException:
        kind = self._coder.decode(reply["raised"], Met())
        args = [self._coder.decode(value, Met()) for value in reply["args"]]
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            kind = RuntimeError
        try:
            error = kind(*args)
        except Exception:  # noqa: BLE001 - some builtin ones want arguments of a certain shape
            error = RuntimeError(kind.__name__)
        if hasattr(type(error), "stand_in"):
            error.stand_in = self._coder.decode(reply["error"], Met())  # type: ignore[attr-defined] - for classes of theirs
        error.where = str(reply["where"])  # type: ignore[attr-defined] - `told` reads it
        return error

    def _stand_in(self, number: int, hint: str) -> Any:
        if number not in self._remotes:
            self._remotes[number] = Remote(self, number)
        remote = self._remotes[number]
        return self._awaited(remote) if hint == "coroutine" else remote

    async def _awaited(self, remote: Remote) -> Any:
        """Stand for a coroutine of theirs: it runs to its end there as soon as it is waited for here."""
        return self.ask("await", remote)

    def _number_of(self, value: Any) -> int | None:
        if type(value) is Remote:
            return value._remote_number
        return self._coder.number_of_class(value) if isinstance(value, type) else None

    def _send(self, message: dict[str, Any]) -> None:
        text = json.dumps({**message, "kept": self._changes()}).encode()
        if len(text) > MESSAGE_BYTES_MAX:
            raise self._lost("a value is too large to hand over")
        data = memoryview(len(text).to_bytes(4, "big") + text)
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            raise self._lost("it has ended") from None

    def _receive(self) -> dict[str, Any]:
        size = int.from_bytes(self._read(4), "big")
        if size > MESSAGE_BYTES_MAX:
            raise self._lost("a value is too large to take")
        try:
            message = json.loads(self._read(size))
            self._apply(message["kept"])
        except Gone:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the program made up
            raise self._lost(f"it sent no proper message: {error}") from None
        return message

    def _read(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size:
            try:
                part = os.read(self._fd, min(size, 1 << 20))
            except OSError:
                part = b""
            if not part:
                raise self._lost("it has ended")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _lost(self, why: str) -> Gone:
        self.gone = True
        return Gone(f"the program's process: {why}")
