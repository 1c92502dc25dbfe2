"""How the numbers of a table are written: shares of 1 in percent, the others in their unit. Refuses to guess a unit.

Shares have two decimals of a percent; in another unit the largest score of a table has four digits that count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Row: TypeAlias = Mapping[str, Any]

PERCENT = "%"
_DIGITS = 4
_MOST_DECIMALS = 8


@dataclass(frozen=True)
class Scale:
    """How numbers of a unit are written.

    Args:
        unit: its name.
        factor: what a number is multiplied by.
        decimals: of a score; what it is compared with has one less.
        named: whether the unit stands beside each score, since those of a table differ.

    Example:
        >>> share = Scale(PERCENT, 100, 2, named=False)
        >>> share.score(0.5), share.rough(0.25), share.span({"low": 0.4, "high": 0.6})
        ('50.00', '25.0', '40.00 to 60.00')
    """

    unit: str
    factor: float
    decimals: int
    named: bool

    def score(self, value: float) -> str:
        """A score."""
        return self._text(value, self.decimals) + (f" {self.unit}" if self.named else "")

    def rough(self, value: float | None) -> str:
        """What a score is compared with, such as chance; empty where it is not known."""
        if value is None:
            return ""
        return self._text(value, max(self.decimals - 1, 0)) + (f" {self.unit}" if self.named else "")

    def span(self, interval: Mapping[str, Any] | None) -> str:
        """An interval; empty where there is none."""
        if not interval:
            return ""
        return (
            f"{self._text(interval['low'], self.decimals)} to {self._text(interval['high'], self.decimals)}"
        )

    def rough_span(self, interval: Mapping[str, Any]) -> str:
        """A range that was reported elsewhere."""
        return f"{self.rough(interval['low'])} to {self.rough(interval['high'])}"

    def change(self, value: float) -> str:
        """A difference, with its sign."""
        return f"{self.factor * value:+.{self.decimals}f}"

    def difference(self, difference: Mapping[str, Any] | None) -> str:
        """A paired difference, with a star where its interval is without 0."""
        if not difference:
            return ""
        low, high = difference["low"], difference["high"]
        small = 0.5 * 10**-self.decimals / self.factor  # prints as 0
        if abs(difference["value"]) < small and max(abs(low), abs(high)) < small:
            return "same"
        return self.change(difference["value"]) + ("" if low <= 0 <= high else " *")

    def _text(self, value: float, decimals: int) -> str:
        text = f"{self.factor * value:.{decimals}f}"
        return text.lstrip("-") if float(text) == 0 else text  # a zero has no sign


def scales_of(rows: Sequence[Row]) -> tuple[Scale, ...]:
    """The scale of each row of a table."""
    units = [str(row.get("unit", PERCENT)) for row in rows]
    named = len(set(units)) > 1
    known = {
        unit: _scale(unit, [row["value"] for row, own in zip(rows, units, strict=True) if own == unit], named)
        for unit in dict.fromkeys(units)
    }
    return tuple(known[unit] for unit in units)


def headed(name: str, scales: Sequence[Scale]) -> str:
    """A heading with the unit that all rows share."""
    return name if scales[0].named else f"{name} {scales[0].unit}"


def duration(seconds: float) -> str:
    """A time for people."""
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def _scale(unit: str, values: Sequence[float], named: bool) -> Scale:
    if unit == PERCENT:
        return Scale(unit, 100, 2, named)
    largest = max(abs(value) for value in values)
    before = math.floor(math.log10(largest)) + 1 if largest > 0 else 1  # digits before the point
    return Scale(unit, 1, min(max(_DIGITS - before, 0), _MOST_DECIMALS), named)
