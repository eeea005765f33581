"""How numbers, times and texts are written for a person."""

from datetime import UTC, datetime

UNKNOWN = "-"

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_IN_TEXT = {code: shown for code, shown in _CONTROLS.items() if chr(code) not in "\n\t"} | {ord("\r"): ""}
_IN_LINE = _CONTROLS | {ord(space): " " for space in "\n\t\r"}


def clean(text: str) -> str:
    """Make what a teacher wrote safe to print: an escape sequence in it must not steer the terminal."""
    return text.translate(_IN_TEXT)


def one_line(text: str, width: int) -> str:
    """Return the beginning of a text as one line of at most `width` characters."""
    line = " ".join(text[: 4 * width].translate(_IN_LINE).split())
    return line if len(line) <= width else line[: width - 1] + "…"


def number(value: float | int | None) -> str:
    """Return 1,234 or 0.57; a dash for what is unknown."""
    if value is None:
        return UNKNOWN
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def percent(share: float | None) -> str:
    """Return 12.3 % of 0.123."""
    return UNKNOWN if share is None else f"{100 * share:.1f} %"


def size(count: float) -> str:
    """Return a number of bytes in the unit that suits it."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def duration(seconds: float | None) -> str:
    """Return 42 s, 3:07 min, 2:15 h or 3 d."""
    if seconds is None:
        return UNKNOWN
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h" if whole < 86_400 else f"{whole // 86_400} d"


def age(moment: datetime | None) -> str:
    """Return how long ago something was, in its largest unit."""
    if moment is None:
        return UNKNOWN
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    seconds = max(0.0, (datetime.now(UTC) - aware).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def counted(counts: dict[str, int]) -> str:
    """Return `3 timeout, 1 empty` of counts by reason, the largest first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count:,} {reason}" for reason, count in ordered)
