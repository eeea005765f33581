"""The card's bar charts: SVG drawn here, and the same as PNG.

Altair, which draws the trainer's charts, takes seconds to start and 75 MB, in a worker that has 300 MB for a million
rows; these are a dozen bars.
"""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 66, 46
INK, FAINT, GRID = "#20242b", "#5b6270", "#e6e8ec"
COLOURS = ("#2463c9", "#b9bfc9")
GAP = 0.24
"""Of a bar's room, between it and the next."""
TICKS = 4


class Bar(NamedTuple):
    """What stands over one label: counts from the ground up, one for each series."""

    label: str
    counts: tuple[int, ...]


def bars(title: str, series: Sequence[str], found: Sequence[Bar], across: str) -> str:
    """Return the SVG of stacked bars; `across` says what the labels are."""
    peak = max((sum(bar.counts) for bar in found), default=0) or 1
    room = (WIDTH - LEFT - RIGHT) / max(1, len(found))
    ground, unit = HEIGHT - BOTTOM, (HEIGHT - TOP - BOTTOM) / peak
    drawn = [_text(LEFT, 24, title, size=16, weight="bold"), *_legend(series), *_grid(peak, ground, unit)]
    for place, bar in enumerate(found):
        x, y = LEFT + (place + GAP / 2) * room, float(ground)
        for count, colour in zip(bar.counts, COLOURS, strict=False):
            y -= count * unit
            if count:
                size = f'width="{room * (1 - GAP):.1f}" height="{count * unit:.1f}"'
                drawn.append(f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{colour}"/>')
        middle = x + room * (1 - GAP) / 2
        drawn.append(_text(middle, ground + 16, bar.label, size=11, anchor="middle"))
        if sum(bar.counts):
            drawn.append(_text(middle, y - 4, f"{sum(bar.counts):,}", size=10, anchor="middle", colour=FAINT))
    drawn.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, across, size=12, anchor="middle", colour=FAINT))
    box = (
        f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="DejaVu Sans, Arial, sans-serif"'
    )
    ground_colour = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {box}>', ground_colour, *drawn, "</svg>", ""])


def png(svg: str) -> bytes:
    """Return a chart at twice its size in pixels."""
    from vl_convert import svg_to_png

    return svg_to_png(svg, scale=2)


def _legend(series: Sequence[str]) -> list[str]:
    found, x = [], float(LEFT)
    for name, colour in zip(series, COLOURS, strict=False):
        found.append(f'<rect x="{x:.0f}" y="36" width="11" height="11" fill="{colour}"/>')
        found.append(_text(x + 17, 46, name, size=12))
        x += 40 + 7.5 * len(name)
    return found


def _grid(peak: int, ground: int, unit: float) -> list[str]:
    found = []
    for count in sorted({round(peak * tick / TICKS) for tick in range(TICKS + 1)}):
        y = ground - count * unit
        found.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>')
        found.append(_text(LEFT - 8, y + 4, f"{count:,}", size=11, anchor="end", colour=FAINT))
    return found


def _text(
    x: float, y: float, text: str, *, size: int, anchor: str = "start", colour: str = INK, weight: str = "normal"
) -> str:
    look = f'font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{escape(text)}</text>'
