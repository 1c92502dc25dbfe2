"""Cosines of the von Mises-Fisher law. Refuses to know a direction: that is the sphere's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cosines(generator: np.random.Generator, kappa: float, dim: int, n: int) -> NDArray[np.float64]:
    """Draw n cosines w between a point of S^(d-1) and its mean: density exp(kappa w) (1 - w^2)^((d - 3) / 2).

    Source: A. T. A. Wood, "Simulation of the von Mises Fisher distribution", 1994: rejection from a transformed
    Beta; all that are still open are proposed at once, and at least two in three are accepted.
    """
    m = dim - 1
    b = m / (2 * kappa + np.sqrt(4 * kappa**2 + m**2))
    x0 = (1 - b) / (1 + b)
    log_bound = kappa * x0 + m * np.log1p(-(x0**2))
    drawn = np.empty(n)
    open_ = np.arange(n)
    while len(open_):
        beta = generator.beta(m / 2, m / 2, len(open_))
        w = (1 - (1 + b) * beta) / (1 - (1 - b) * beta)
        accepted = kappa * w + m * np.log1p(-x0 * w) - log_bound >= np.log1p(-generator.random(len(open_)))
        drawn[open_[accepted]] = w[accepted]
        open_ = open_[~accepted]
    return np.clip(drawn, -1, 1)
