"""A plot of a gap against the number of pairs, as SVG text. Refuses to draw anything else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 20, 40, 50
_INK, _GREY, _BLUE = "#222222", "#bbbbbb", "#2b6cb0"


@dataclass(frozen=True)
class Mark:
    """A point with its interval.

    Args:
        n: pairs.
        value, low, high: of the gap, in nats.
    """

    n: int
    value: float
    low: float
    high: float


def gap_plot(title: str, marks: Sequence[Mark]) -> bytes:
    """The gap over n, n to the base 2; a line at 0, a bar for each interval.

    Args:
        title: what the plot is of.
        marks: one or more, all finite.
    """
    low, high = min(0.0, *(m.low for m in marks)), max(0.0, *(m.high for m in marks))
    room = 0.08 * (high - low) or 1.0
    low, high = low - room, high + room
    first, last = (math.log2(f(m.n for m in marks)) for f in (min, max))
    span = max(last - first, 1.0)

    def x(n: float) -> float:
        return _LEFT + (math.log2(n) - first) / span * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="{_INK}">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="22" font-size="14">{escape(title)}</text>',
        _line(_LEFT, y(0), _WIDTH - _RIGHT, y(0), _GREY),
        f'<text x="{_LEFT}" y="{_HEIGHT - 10}">pairs N</text>',
        f'<text transform="translate(16 {_HEIGHT - _BOTTOM}) rotate(-90)">L - 2 log N - limit, nats</text>',
    ]
    for value in {0.0, min(m.low for m in marks), max(m.high for m in marks)}:
        parts.append(f'<text x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.2g}</text>')
    for mark in marks:
        middle = f"{x(mark.n):.1f}"
        parts.append(_line(x(mark.n), y(mark.low), x(mark.n), y(mark.high), _BLUE))
        parts.append(f'<circle cx="{middle}" cy="{y(mark.value):.1f}" r="3" fill="{_BLUE}"/>')
        power = math.log2(mark.n)
        label = f"2^{power:.0f}" if power.is_integer() else str(mark.n)
        parts.append(f'<text x="{middle}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{label}</text>')
    return "\n".join([*parts, "</svg>", ""]).encode()


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'
