"""How values cross between the process of the tests and the process of the program.

Plain data and a few types of the standard library go by value; functions, objects and classes stay where they are, and
the other side gets a stand-in that sends every use of it across. Whatever arrives is data: decoding runs no code of the
sender. Lists, dicts and the like carry a number, so that both sides can mean the same one.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import importlib
import math
import types
from collections.abc import Callable
from typing import Any

NAMED = (
    *("builtins", "collections", "cmath", "math", "operator", "itertools", "functools", "heapq", "bisect", "string"),
    *("decimal", "fractions", "datetime", "statistics", "re", "typing", "copy", "json"),
)
"""Modules whose own classes and functions both sides have: they go by name. None holds anything that equals all."""
_ROUTINES = (type, types.FunctionType, types.BuiltinFunctionType)
_TRUE_NAMES = {"True", "False", "None", "Ellipsis", "NotImplemented"}


def _refill_list(target: Any, items: Any) -> None:
    target[:] = items


def _refill_by(name: str) -> Callable[[Any, Any], None]:
    def refill(target: Any, items: Any) -> None:
        target.clear()
        getattr(target, name)(items)

    return refill


# type: (name, its contents as a plain list, how an empty one is made, how one is refilled)
CONTAINERS: dict[type, tuple[str, Callable[[Any], Any], Callable[[], Any], Callable[[Any, Any], None]]] = {
    list: ("list", list, list, _refill_list),
    dict: ("dict", lambda d: list(d.items()), dict, _refill_by("update")),
    set: ("set", list, set, _refill_by("update")),
    bytearray: ("bytearray", list, bytearray, _refill_list),
    collections.deque: ("deque", list, collections.deque, _refill_by("extend")),
    collections.OrderedDict: ("OrderedDict", lambda d: list(d.items()), collections.OrderedDict, _refill_by("update")),
    collections.Counter: (
        "Counter",
        lambda d: list(d.items()),
        collections.Counter,
        lambda target, items: (target.clear(), dict.update(target, items))[0],
    ),
    # Its factory stays behind; it is equal to a dict with the same items.
    collections.defaultdict: ("defaultdict", lambda d: list(d.items()), collections.defaultdict, _refill_by("update")),
}
_CONTAINER_OF = {row[0]: kind for kind, row in CONTAINERS.items()}

# type: (name, its parts, how it is made from them)
VALUES: dict[type, tuple[str, Callable[[Any], list[Any]], Callable[..., Any]]] = {
    tuple: ("tuple", list, lambda *parts: parts),
    frozenset: ("frozenset", list, lambda *parts: frozenset(parts)),
    complex: ("complex", lambda v: [v.real, v.imag], complex),
    range: ("range", lambda v: [v.start, v.stop, v.step], range),
    slice: ("slice", lambda v: [v.start, v.stop, v.step], slice),
    bytes: ("bytes", lambda v: [v.decode("latin-1")], lambda text: text.encode("latin-1")),
    decimal.Decimal: ("Decimal", lambda v: [str(v)], decimal.Decimal),
    fractions.Fraction: ("Fraction", lambda v: [v.numerator, v.denominator], fractions.Fraction),
    datetime.timedelta: ("timedelta", lambda v: [v.days, v.seconds, v.microseconds], datetime.timedelta),
    datetime.datetime: ("datetime", lambda v: [v.isoformat()], datetime.datetime.fromisoformat),
    datetime.time: ("time", lambda v: [v.isoformat()], datetime.time.fromisoformat),
    datetime.date: ("date", lambda v: [v.year, v.month, v.day], datetime.date),
}
_VALUE_OF = {row[0]: row[2] for row in VALUES.values()}
_INT_PLAIN = 1 << 62


class Met:
    """The containers met in one exchange, numbered as they were met."""

    def __init__(self) -> None:
        self.objects: list[Any] = []
        self._numbers: dict[int, int] = {}

    def number(self, value: Any) -> int | None:
        """Return the container's number, None if it was not met before."""
        return self._numbers.get(id(value))

    def add(self, value: Any) -> int:
        """Number a container."""
        self._numbers[id(value)] = len(self.objects)
        self.objects.append(value)
        return len(self.objects) - 1


class Coder:
    """Encodes and decodes for one side. `stand_in` makes what stands here for an object of the other side."""

    def __init__(self, stand_in: Callable[[int, str], Any], number_of: Callable[[Any], int | None]):
        self.own: list[Any] = []
        """Objects of ours that the other side may speak to, by number."""
        self._numbers: dict[int, int] = {}
        self._stand_in = stand_in
        self._number_of = number_of
        self._classes: dict[int, type[BaseException]] = {}

    def encode(self, value: Any, met: Met) -> Any:
        """Return the value as JSON can hold it."""
        kind = type(value)
        if value is None or kind is bool or kind is str:
            return value
        if kind is int:
            return value if -_INT_PLAIN < value < _INT_PLAIN else ["int", hex(value)]
        if kind is float:
            return value if math.isfinite(value) else ["float", repr(value)]
        if kind in CONTAINERS:
            number = met.number(value)
            if number is not None:
                return ["met", number]
            met.add(value)
            return ["new", CONTAINERS[kind][0], self.contents(value, met)]
        if kind in VALUES:
            name, parts, _ = VALUES[kind]
            return [name, *(self.encode(part, met) for part in parts(value))]
        if value is Ellipsis or value is NotImplemented:
            return ["name", "builtins", repr(value)]
        theirs = self._number_of(value)
        return ["yours", theirs] if theirs is not None else self._named(value) or self._object(value)

    def contents(self, container: Any, met: Met) -> list[Any]:
        """Return what the container holds, encoded."""
        return [self.encode(item, met) for item in CONTAINERS[type(container)][1](container)]

    def _named(self, value: Any) -> list[Any] | None:
        if isinstance(value, types.ModuleType) and value.__name__ in NAMED:
            return ["module", value.__name__]
        if not isinstance(value, _ROUTINES):
            return None
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        if isinstance(module, str) and isinstance(name, str) and module in NAMED and _may_name(module, name):
            found = getattr(importlib.import_module(module), name, None)
            return ["name", module, name] if found is value else None
        return None

    def _object(self, value: Any) -> list[Any]:
        number = self.number(value)
        if isinstance(value, type) and issubclass(value, BaseException):
            parents = [base for base in value.__bases__ if issubclass(base, BaseException)]
            return ["exception", number, value.__name__, [self.encode(base, Met()) for base in parents]]
        return ["mine", number, "coroutine" if isinstance(value, types.CoroutineType) else ""]

    def number(self, value: Any) -> int:
        """Return the number of an object of ours, from now on its name on the other side."""
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self.own)
            self.own.append(value)
        return self._numbers[id(value)]

    def decode(self, data: Any, met: Met) -> Any:
        """Return the value. Raises ValueError, KeyError, IndexError or TypeError where the sender made it up."""
        if not isinstance(data, list):
            return data
        tag, *rest = data
        if tag == "new":
            kind = _CONTAINER_OF[rest[0]]
            made = CONTAINERS[kind][2]()
            met.add(made)
            self.refill(made, rest[1], met)
            return made
        if tag == "met":
            return met.objects[rest[0]]
        if tag == "int":
            return int(rest[0], 16)
        if tag == "float":
            return float(rest[0])
        if tag in _VALUE_OF:
            return _VALUE_OF[tag](*(self.decode(part, met) for part in rest))
        if tag == "mine":
            return self._stand_in(int(rest[0]), str(rest[1]))
        if tag == "yours":
            return self.own[rest[0]]
        if tag == "exception":
            return self._exception_class(*rest)
        if tag == "module" and rest[0] in NAMED:
            return importlib.import_module(rest[0])
        if tag == "name" and rest[0] in NAMED and _may_name(*rest):
            return getattr(importlib.import_module(rest[0]), rest[1])
        raise ValueError(f"no value: {tag!r}")

    def refill(self, container: Any, contents: list[Any], met: Met) -> None:
        """Make a container hold what the other side says it holds."""
        CONTAINERS[type(container)][3](container, [self.decode(item, met) for item in contents])

    def _exception_class(self, number: int, name: str, parents: list[Any]) -> type[BaseException]:
        """Return a class of ours that stands for an exception class of theirs: only a real one can be caught."""
        if number not in self._classes:
            bases = tuple(self.decode(parent, Met()) for parent in parents)
            if not all(isinstance(base, type) and issubclass(base, BaseException) for base in bases):
                raise ValueError(f"no exceptions: {bases!r}")
            self._classes[number] = type(str(name), bases, {"__getattr__": _attribute, "stand_in": None})
        return self._classes[number]

    def number_of_class(self, value: Any) -> int | None:
        """Return the number of the exception class that this class stands for."""
        return next((number for number, made in self._classes.items() if made is value), None)


def _attribute(error: Any, name: str) -> Any:
    if error.stand_in is None or name.startswith("__"):
        raise AttributeError(name)
    return getattr(error.stand_in, name)


def _may_name(module: str, name: str) -> bool:
    """Tell whether both sides may mean a thing by this name; of the builtins only classes, and what is always there."""
    if module != "builtins" or name in _TRUE_NAMES:
        return not name.startswith("_") and "." not in name
    return isinstance(vars(importlib.import_module("builtins")).get(name), type)
