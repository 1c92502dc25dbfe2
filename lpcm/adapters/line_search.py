"""A plane of settings searched a line at a time on validation rows. Refuses to look at anything else.

Along a line the logits are  base + t slope.  A row is then right exactly on an interval of t, found in one pass
over its classes, so that a line costs what one of its points would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpcm.adapters.cache_search import right_between
from lpcm.adapters.validation import Standing, standing

Line = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Point:
    """The best point of a plane.

    Args:
        outer, inner: its settings.
        standing: what validation says of it.
    """

    outer: float
    inner: float
    standing: Standing


def best_point(
    line: Callable[[float], Line],
    outers: Sequence[float],
    inners: Sequence[float],
    labels: NDArray[np.int64],
) -> Point:
    """Find the point of best validation accuracy, then log-loss, then the first, ``outers`` being the outer loop.

    Args:
        line: base and slope, (q, c) each, of an outer setting.
        outers: settings of the lines, one or more.
        inners: settings along each line, one or more.
        labels: (q,) of the validation rows.

    Example:
        >>> line = lambda outer: (np.array([[3.0, 0.0]]), np.array([[0.0, outer]]))
        >>> point = best_point(line, (0.1, 1.0), (1.0, 4.0), np.array([1]))
        >>> point.outer, point.inner, point.standing.accuracy
        (1.0, 4.0, 1.0)
    """
    right = np.stack([count_right(*line(outer), np.asarray(inners), labels) for outer in outers])
    best: Point | None = None
    for o in np.flatnonzero((right == right.max()).any(1)).tolist():
        base, slope = line(outers[o])
        for i in np.flatnonzero(right[o] == right.max()).tolist():
            found = standing(base + inners[i] * slope, labels)
            if best is None or found < best.standing:
                best = Point(outers[o], inners[i], found)
    assert best is not None
    return best


def count_right(
    base: NDArray[np.float64],
    slope: NDArray[np.float64],
    inners: NDArray[np.float64],
    labels: NDArray[np.int64],
) -> NDArray[np.int64]:
    """How many rows are right at each inner setting of a line."""
    low, high = right_between(base, slope, labels)
    inside: NDArray[np.int64] = ((inners > low[:, None]) & (inners < high[:, None])).sum(0)
    return inside
