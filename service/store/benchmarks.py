"""Benchmarks in the database."""

from collections.abc import Sequence

from sqlmodel import Session, col, select

from service.errors import Conflict, Problem, nearest
from service.models import Benchmark


def add(session: Session, benchmark: Benchmark) -> tuple[Benchmark, bool]:
    """Add a benchmark; return it and whether it is new. Conflict where the name means other texts."""
    found = session.get(Benchmark, benchmark.name)
    if found is None:
        session.add(benchmark)
        return benchmark, True
    if found.sha256 != benchmark.sha256:
        raise Conflict(
            f"benchmark '{found.name}' has other texts ({found.lines:,} lines of {', '.join(found.columns)}); "
            "versions were checked against them, so add yours under another name"
        )
    return found, False


def every(session: Session) -> Sequence[Benchmark]:
    """Return all benchmarks by name."""
    return session.exec(select(Benchmark).order_by(col(Benchmark.name))).all()


def pin(session: Session, name: str, where: str) -> str:
    """Return `NAME@SHA256` of a name, pinned or not; `where` in the recipe it stands is for the Problem's message."""
    plain, _, sha256 = name.partition("@")
    found = session.get(Benchmark, plain)
    if found is None:
        known = [benchmark.name for benchmark in every(session)]
        message = f"no benchmark is called '{plain}'{nearest(plain, known)}; add it with `retort benchmark add`"
    elif sha256 and sha256 != found.sha256:
        message = f"benchmark '{plain}' has the SHA-256 {found.sha256} here, the recipe means another one"
    else:
        return f"{plain}@{found.sha256}"
    message = f"knob 'benchmarks': {message}"
    raise Problem(f"{where}: {message}", [{"field": where, "message": message}])
