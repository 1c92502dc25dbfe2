"""Which images show a component: those at its ends, and one for each step along it. Refuses to look at labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEPS = (0.01, 0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95, 0.99)
"""Quantiles of a component's values at which the strip stops."""

WINDOW = 0.02
"""Share of all samples around a step among which its image is chosen."""


@dataclass(frozen=True, eq=False)
class Shown:
    """Rows of the samples that show one component.

    Args:
        highest, lowest: (m,) int64, the most extreme first.
        steps: int64, one for each quantile of ``quantiles``, upwards.
        quantiles: where the strip stops.
    """

    highest: NDArray[np.int64]
    lowest: NDArray[np.int64]
    steps: NDArray[np.int64]
    quantiles: tuple[float, ...]


def choose_images(values: NDArray[np.float32], place: int, images: int, far: NDArray[np.float64]) -> Shown:
    """Choose the samples that show a component.

    A step's image is, of the samples whose rank is nearest to the quantile, the one whose other components are
    nearest to their means (least sum of squares), so that what changes along the strip is this component as far
    as the samples allow. No sample stands for two steps.

    Args:
        values: (n, k) oriented values.
        place: the component.
        images: samples at each end, cut to n // 2.
        far: (n,) sum of squares of all k values of each sample.
    """
    own = values[:, place].astype(np.float64)
    order = np.argsort(own, kind="stable")
    count = max(1, min(images, len(own) // 2))
    steps = _steps(order, far - np.square(own), STEPS)
    return Shown(order[::-1][:count].copy(), order[:count].copy(), steps, STEPS[: len(steps)])


def _steps(
    order: NDArray[np.int64], others: NDArray[np.float64], quantiles: Sequence[float]
) -> NDArray[np.int64]:
    n = len(order)
    reach = max(1, round(WINDOW * n / 2))
    chosen: list[int] = []
    for quantile in quantiles[:n]:
        centre = round(quantile * (n - 1))
        window = order[max(0, centre - reach) : centre + reach + 1]
        free = [row for row in window if row not in chosen] or [row for row in order if row not in chosen]
        chosen.append(int(min(free, key=lambda row: (others[row], row))))
    return np.array(chosen, dtype=np.int64)
