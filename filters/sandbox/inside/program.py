"""The process of the program: runs what the model wrote and does with it what the tests' process asks."""

from __future__ import annotations

import builtins
import io
import json
import os
import sys
import types
from typing import Any

from filters.sandbox.inside.limits import restrict
from filters.sandbox.inside.link import Link

_SHOWN_CHARS_MAX = 1 << 16


class Printed(io.TextIOBase):
    """Our stdout: what is written goes out at once, and to the tests with the next answer."""

    def __init__(self, descriptor: int):
        self._descriptor = descriptor
        self._parts: list[str] = []
        self._size = 0

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def write(self, text: str) -> int:
        """Write and remember, the latter up to a bound."""
        data = text.encode(errors="replace")
        while data:
            data = data[os.write(self._descriptor, data) :]
        if self._size < _SHOWN_CHARS_MAX:
            self._parts.append(text)
            self._size += len(text)
        return len(text)

    def take(self) -> str:
        """Return what was written since the last time."""
        text = "".join(self._parts)
        self._parts, self._size = [], 0
        return text


class Keyboard(io.TextIOBase):
    """Our stdin: the one that the tests have laid out."""

    def __init__(self, ask: Any):
        self._ask = ask

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        """Read a line."""
        return self._ask("readline")

    def read(self, size: int | None = -1, /) -> str:
        """Read all."""
        return self._ask("read")


def load(source: str) -> tuple[types.ModuleType, str | None]:
    """Run the program as the module `solution`; return it, and the name of the last function it defines."""
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    # The two that interactive Python has and `python -S` lacks.
    builtins.exit = builtins.quit = sys.exit  # type: ignore[assignment]
    exec(compile(source, "<program>", "exec"), vars(module))  # noqa: S102 - that is what the sandbox is for
    functions = [name for name, value in vars(module).items() if isinstance(value, types.FunctionType)]
    return module, functions[-1] if functions else None


def main() -> None:
    """Load the program when the tests ask for its names, then answer until they have enough."""
    task = json.load(sys.stdin)
    restrict(task["cpu_s"])
    printed = Printed(1)

    def home(what: str) -> tuple[dict[str, Any], str | None] | None:
        if what == "hello":
            return None
        module, entry = load(task["program"])
        return {name: value for name, value in vars(module).items() if not name.startswith("__")}, entry

    link = Link(int(sys.argv[1]), home, trusting=True)
    link.printed = printed.take
    console = link.home()
    sys.stdout, sys.stdin = printed, Keyboard(console)  # type: ignore[assignment]
    builtins.input = lambda prompt="": console("input", prompt)
    link.serve()
    os._exit(0)


if __name__ == "__main__":
    main()
