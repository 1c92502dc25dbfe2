"""What a summary keeps of the details of its cells: numbers averaged over seeds, and the mean beside what a paper says.

Refuses what is no number, and long mappings such as the accuracy of each class: these stay in the cell rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from statistics import fmean
from typing import Any, TypeAlias, TypeGuard

Row: TypeAlias = Mapping[str, Any]

PAPER = "paper"
"""Detail in which a task says what a publication reports for such a row: ``low``, ``high`` and ``said``."""

_MOST = 16  # numbers in a mapping that a summary keeps


class Place(str, Enum):
    """Where a mean lies beside a published range."""

    BELOW = "below"
    IN = "in"
    ABOVE = "above"


def told_by(done: Sequence[Row]) -> dict[str, Any]:
    """``details`` and, where a publication reports such rows, ``paper`` of a summary.

    Args:
        done: the done cell rows of a group of seeds, at least one.

    Example:
        >>> paper = {"low": 0.9, "high": 0.92, "said": "91 +- 1"}
        >>> rows = [{"value": v, "details": {"top5": v, "paper": paper}} for v in (0.5, 1.0)]
        >>> told = told_by(rows)
        >>> told["details"], told["paper"]["mean"], told["paper"]["reached"]
        ({'top5': 0.75}, 'below', 1)
    """
    details = [row.get("details", {}) for row in done]
    told: dict[str, Any] = {"details": _averaged(details)}
    papers = [detail.get(PAPER) for detail in details]
    if _is_range(papers[0]) and all(paper == papers[0] for paper in papers):
        told[PAPER] = _beside(papers[0], [row["value"] for row in done])
    return told


def unit_of(done: Sequence[Row]) -> dict[str, str]:
    """``unit`` of a summary; nothing for shares of 1."""
    return {"unit": done[0]["unit"]} if "unit" in done[0] else {}


def completed(summary: Sequence[dict[str, Any]], rows: Sequence[Row]) -> tuple[dict[str, Any], ...]:
    """Summary rows of an older run with what :func:`told_by` says of its cells; others as they are."""
    cells = {row["key"]: row for row in rows if row.get("key")}
    found = []
    for row in summary:
        own = [cells[key] for key in row.get("cells", ()) if key in cells]
        is_older = row["level"] == "summary" and own and "details" not in row
        found.append({**row, **told_by(own)} if is_older else row)
    return tuple(found)


def _is_range(paper: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(paper, Mapping) and all(_is_number(paper.get(end)) for end in ("low", "high"))


def _beside(paper: Mapping[str, Any], values: Sequence[float]) -> dict[str, Any]:
    mean = fmean(values)
    place = Place.BELOW if mean < paper["low"] else Place.ABOVE if mean > paper["high"] else Place.IN
    return {**paper, "mean": place.value, "reached": sum(value >= paper["low"] for value in values)}


def _averaged(details: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Numbers, and mappings with a few of them, that all cells have."""
    kept: dict[str, Any] = {}
    for name, value in details[0].items():
        values: list[Any] = [detail.get(name) for detail in details]
        if name == PAPER:
            continue
        if all(_is_number(each) for each in values):
            kept[name] = fmean(values)
        elif isinstance(value, Mapping) and len(value) <= _MOST:
            inner = _averaged([each if isinstance(each, Mapping) else {} for each in values])
            numbers = {name: each for name, each in inner.items() if _is_number(each)}
            kept |= {name: numbers} if numbers else {}
    return kept


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
