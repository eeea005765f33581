"""What may be done to an object of the other side, and what stands for it on this one."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from filters.sandbox.inside.link import Link

TO_PLAIN = {"abs", "round", "int", "float", "neg", "pos", "index", "bool"}
"""What makes a plain number of an object."""
_BINARY = ["add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "and", "or", "xor"]
COMPARE = ["eq", "ne", "lt", "le", "gt", "ge"]


OPERATIONS: dict[str, Callable[..., Any]] = {
    "call": lambda target, *args, **named: target(*args, **named),
    "getattr": getattr,
    "setattr": setattr,
    "delattr": delattr,
    "getitem": operator.getitem,
    "setitem": operator.setitem,
    "delitem": operator.delitem,
    "contains": operator.contains,
    "len": len,
    "iter": iter,
    "next": next,
    "reversed": reversed,
    "bool": bool,
    "str": str,
    "repr": repr,
    "format": format,
    "int": int,
    "float": float,
    "index": operator.index,
    "hash": hash,
    "round": round,
    "abs": abs,
    "neg": operator.neg,
    "pos": operator.pos,
    "invert": operator.invert,
    "enter": lambda target: target.__enter__(),
    "exit": lambda target, kind, error: target.__exit__(kind, error, None),
    "instancecheck": lambda target, value: isinstance(value, target),
    "subclasscheck": lambda target, value: issubclass(value, target),
    "copy": copy.copy,
    "deepcopy": lambda target, *_: copy.deepcopy(target),
    "dir": dir,
    "await": lambda target: _run_coroutine(target),
    "plain": lambda target: _plain(target),
    **{name: getattr(operator, f"__{name}__") for name in (*_BINARY, *COMPARE)},
    **{
        f"r{name}": (lambda op: lambda target, other: op(other, target))(getattr(operator, f"__{name}__"))
        for name in _BINARY
    },
}


_PLAIN: tuple[Any, ...] = (int, float, complex, str, bytes, tuple, list, dict, set, frozenset)


def _run_coroutine(target: Any) -> Any:
    import asyncio  # slow to import, and rarely wanted

    return asyncio.run(target)


def _plain(target: Any) -> Any:
    """Return [the plain value inside an object of a class derived from a plain one], or [] for any other object."""
    for base in _PLAIN:
        if isinstance(target, base) and type(target) is not base:
            return [base.__str__(target) if base is str else base(target)]
    return []


class Gone(BaseException):
    """The other side has ended or talks nonsense. No `Exception`, so that a test's own `except` does not hide it."""


class Remote:  # without a docstring: it would hide the one of what it stands for
    __slots__ = ("_remote_link", "_remote_number")

    def __init__(self, link: Link, number: int):
        object.__setattr__(self, "_remote_link", link)
        object.__setattr__(self, "_remote_number", number)

    def __getattr__(self, name: str) -> Any:
        return self._remote_link.ask("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._remote_link.ask("setattr", self, name, value)

    def __exit__(self, kind: Any, error: Any, _: Any) -> bool:
        swallowed = self._remote_link.ask("exit", self, kind, error)
        # A failed assertion is not the program's to swallow.
        return kind is not None and not issubclass(kind, (AssertionError, Gone)) and bool(swallowed)


def _forward(name: str) -> Callable[..., Any]:
    def forwarded(self: Remote, *args: Any, **named: Any) -> Any:
        return self._remote_link.ask(name, self, *args, **named)

    return forwarded


def _compare(name: str) -> Callable[..., Any]:
    def compared(self: Remote, other: Any) -> Any:
        return self._remote_link.compare(name, self, other)

    return compared


def _compute(name: str) -> Callable[..., Any]:
    def computed(self: Remote, other: Any) -> Any:
        return self._remote_link.compute(name, self, other)

    return computed


for _name in OPERATIONS:
    if _name not in ("getattr", "setattr", "plain", "exit", "await", *COMPARE):
        setattr(Remote, f"__{_name}__", _forward(_name))
for _name in COMPARE:
    setattr(Remote, f"__{_name}__", _compare(_name))
for _name in _BINARY:
    setattr(Remote, f"__{_name}__", _compute(_name))
    setattr(Remote, f"__r{_name}__", _compute(f"r{_name}"))
