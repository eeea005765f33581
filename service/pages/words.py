"""How numbers, times and texts are written on a page. Plain functions: they are the filters of the templates."""

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

UNKNOWN = "\N{EN DASH}"
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400


def number(value: float | None) -> str:
    """Return 1,234 or 0.57; a dash for what is unknown."""
    if value is None:
        return UNKNOWN
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def compact(value: float | None) -> str:
    """Return 999, 12.3 k or 4.56 M."""
    if value is None or abs(value) < 10_000:
        return number(value)
    for unit in ("k", "M"):
        value /= 1000
        if abs(value) < 999.5:
            return f"{value:.3g} {unit}"
    return f"{value / 1000:,.3g} G"


def size(count: float) -> str:
    """Return a number of bytes in the unit that suits it."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"


def percent(share: float | None) -> str:
    """Return 12.3 % of 0.123."""
    return UNKNOWN if share is None else f"{100 * share:.1f} %"


def points(share: float | None) -> str:
    """Return +12.3 of 0.123: a difference of two shares, in percentage points."""
    return UNKNOWN if share is None else f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")


def share(part: float, whole: float) -> float | None:
    """Return part of whole; None of nothing."""
    return part / whole if whole else None


def duration(seconds: float | None) -> str:
    """Return 350 ms, 42 s, 3 min 07 s, 2 h 15 min or 3 d 4 h."""
    if seconds is None:
        return UNKNOWN
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    whole = round(seconds)
    if whole < MINUTE_S:
        return f"{seconds:.1f} s" if seconds < 10 and whole != seconds else f"{whole} s"
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} min {whole % MINUTE_S:02d} s"
    if whole < DAY_S:
        return f"{whole // HOUR_S} h {whole % HOUR_S // MINUTE_S:02d} min"
    return f"{whole // DAY_S} d {whole % DAY_S // HOUR_S} h"


def moment(value: float | datetime) -> datetime:
    """Return the time of a table (Unix seconds) or of a view as one with its zone."""
    if not isinstance(value, datetime):
        return datetime.fromtimestamp(value, UTC)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def relative(value: float | datetime) -> str:
    """Return how long ago, or in how long."""
    seconds = (datetime.now(UTC) - moment(value)).total_seconds()
    if abs(seconds) < 5:
        return "just now"
    coarse = _coarse(abs(seconds))
    return f"{coarse} ago" if seconds > 0 else f"in {coarse}"


def exact(value: float | datetime) -> str:
    """Return 2031-05-04 03:02:01 UTC."""
    return moment(value).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(value: float | datetime) -> str:
    """Return the time as a machine reads it."""
    return moment(value).isoformat(timespec="seconds")


def spaced(code: str) -> str:
    """Return the words of a code such as `in_progress`."""
    return str(code).replace("_", " ")


def short(name: str) -> str:
    """Return the beginning of a machine-made id: enough to tell it from its neighbours."""
    prefix, _, rest = name.partition("_")
    return f"{prefix}_{rest[:8]}…" if len(rest) > 12 else name


def clip(text: str, length: int) -> str:
    """Return the beginning of a text."""
    return text if len(text) <= length else text[:length].rstrip() + "…"


def pretty(value: Any) -> str:
    """Return JSON for a person; the template escapes it."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def knobs(value: dict[str, Any]) -> str:
    """Return settings on one line: `n=2, temperature=0.7`."""
    return ", ".join(f"{name}={json.dumps(part, ensure_ascii=False)}" for name, part in value.items())


def largest(counts: dict[str, int]) -> list[tuple[str, int]]:
    """Return counts by name, the largest first."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def message_text(message: dict[str, Any]) -> str:
    """Return the text of a chat message; parts that are no text are shown as JSON."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(_part_text(part) for part in content)
    return content if isinstance(content, str) else "" if content is None else pretty(content)


def link(path: str, **query: Any) -> str:
    """Return an address of this site with the parameters that say something."""
    said = {name.rstrip("_"): value for name, value in query.items() if value not in (None, "", 0, [])}
    return f"{path}?{urlencode(said, doseq=True)}" if said else path


def _part_text(part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) else part
    return text if isinstance(text, str) else json.dumps(part, ensure_ascii=False, default=str)


def _coarse(seconds: float) -> str:
    """Return the largest unit alone: nobody reads the seconds of something from last week."""
    for size, unit in ((DAY_S, "day"), (HOUR_S, "hour"), (MINUTE_S, "minute"), (1, "second")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "0 seconds"
