"""Columns of a table as factors: what kind each is, and its values as numbers. Refuses empty and infinite cells.

A column of numbers with more than 20 different ones is continuous, any other is categorical. A unit behind the
name makes it an angle: ``phi[rad]``, ``phi[deg]``, ``hue[turn]``. Whoever knows better says so: ``Told``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lpcm.datasets.names import some
from lpcm.errors import DataError, nearest
from lpcm.plugin.truth import FactorKind

MOST_CATEGORIES = 20
"""Numbers with more different values than this are continuous."""

TURNS = {"rad": math.tau, "deg": 360.0, "turn": 1.0}
"""What a full turn is in each unit of an angle."""

_UNIT = re.compile(r"(?P<name>.*?)\s*\[(?P<unit>[^\]]*)\]\Z")


@dataclass(frozen=True)
class Told:
    """What is said of a column by someone who knows.

    Args:
        kind: what arithmetic makes sense.
        turn: for an angle, the number that is a full turn.
    """

    kind: FactorKind
    turn: float = math.tau


@dataclass(frozen=True)
class Column:
    """A factor.

    Args:
        name: without its unit.
        kind: what arithmetic makes sense.
        values: n numbers; angles in radians within [0, 2 pi), categories as places in ``words``.
        words: what the categories are called; empty for the other kinds.
    """

    name: str
    kind: FactorKind
    values: tuple[float, ...]
    words: tuple[str, ...] = ()

    @property
    def varies(self) -> bool:
        """Whether there are two different values."""
        return len(set(self.values)) > 1


def read_told(value: Any, where: str) -> Told:
    """What ``"angle"`` or ``{"kind": "angle", "turn": 360}`` says of a column.

    Raises:
        DataError: when it is neither.
    """
    kinds = [kind.value for kind in FactorKind]
    entry = value if isinstance(value, Mapping) else {"kind": value}
    kind, turn = entry.get("kind"), entry.get("turn", math.tau)
    if kind not in kinds or set(entry) - {"kind", "turn"}:
        raise DataError(
            f'{where} is {value!r}: expected {", ".join(kinds)}, or {{"kind": "angle", "turn": 360}}',
            nearest(kind, kinds) if isinstance(kind, str) else "",
        )
    if isinstance(turn, bool) or not isinstance(turn, int | float) or not 0 < turn < math.inf:
        raise DataError(
            f"{where} has turn {turn!r}: expected the number that is a full turn, for example 360"
        )
    return Told(FactorKind(kind), float(turn))


def read_column(header: str, cells: Sequence[str], told: Told | None = None, where: str = "") -> Column:
    """The factor of a column.

    Args:
        header: its name, perhaps with a unit.
        cells: n texts.
        told: its kind, where that is known; it goes before the unit.
        where: the file, for messages.

    Raises:
        DataError: for an empty cell, a cell that is no finite number where one is needed, or an unknown unit.

    Example:
        >>> read_column("phi[deg]", ["0", "90"]).values == (0.0, math.pi / 2)
        True
        >>> read_column("shape", ["cube", "ball", "cube"]).words
        ('ball', 'cube')
    """
    name, unit = _split_unit(header, where)
    empty = next((row for row, cell in enumerate(cells) if not cell), None)
    if empty is not None:
        raise DataError(f"{where}: {name} has no value in row {empty + 1} of {len(cells)}")
    if told is None and unit:
        told = Told(FactorKind.ANGLE, TURNS[unit])
    numbers = [_number(cell) for cell in cells]
    if told is None:
        many = None not in numbers and len(set(numbers)) > MOST_CATEGORIES
        told = Told(FactorKind.CONTINUOUS if many else FactorKind.CATEGORICAL)
    if told.kind is FactorKind.CATEGORICAL:
        return _categories(name, cells, numbers)
    wrong = next((cell for cell, number in zip(cells, numbers, strict=True) if number is None), None)
    if wrong is not None:
        raise DataError(f"{where}: {name} is {told.kind.value} and has the value {wrong!r}: expected numbers")
    values = [number for number in numbers if number is not None]
    if told.kind is FactorKind.ANGLE:
        values = [(value % told.turn) / told.turn * math.tau for value in values]
    return Column(name, told.kind, tuple(values))


def base_name(header: str) -> str:
    """The name of a column without its unit."""
    match = _UNIT.match(header)
    return match["name"] if match else header


def _split_unit(header: str, where: str) -> tuple[str, str]:
    match = _UNIT.match(header)
    if not match:
        return header, ""
    if match["unit"] not in TURNS:
        raise DataError(
            f"{where}: column {header!r} has the unit {match['unit']!r}: expected {', '.join(TURNS)}, "
            "which make it an angle",
            "Write other units without brackets.",
        )
    return match["name"], match["unit"]


def _categories(name: str, cells: Sequence[str], numbers: Sequence[float | None]) -> Column:
    """Categories in order: numbers by value, words by the alphabet."""
    if None in numbers:
        words = sorted(set(cells))
        if len(words) == len(cells) > MOST_CATEGORIES:
            raise DataError(
                f"column {name!r} has another text in each row ({some(words)}): it is no factor",
                'Leave it out in factors.json: {"ignore": ["' + name + '"]}',
            )
        place = {word: float(number) for number, word in enumerate(words)}
        return Column(name, FactorKind.CATEGORICAL, tuple(place[cell] for cell in cells), tuple(words))
    # "1" and "1.0" are one value; it is called as its first cell writes it.
    written = dict(zip(reversed(numbers), reversed(cells), strict=True))
    order = sorted(number for number in written if number is not None)
    rank = {number: float(place) for place, number in enumerate(order)}
    values = tuple(rank[number] for number in numbers if number is not None)
    return Column(name, FactorKind.CATEGORICAL, values, tuple(written[number] for number in order))


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
