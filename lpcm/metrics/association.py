"""How strongly each component alone goes with each factor, as a correlation in [0, 1]. Refuses to keep signs.

One definition for all kinds: the multiple correlation of a component with a factor's targets
(``Comparison.targets``).

- continuous: |Pearson's correlation|, or |Spearman's| of ranks;
- categorical: the correlation ratio eta (Pearson 1905), for two values the point-biserial correlation;
- angle: the linear-circular correlation (Mardia 1976; Mardia and Jupp 2000, section 11.2).

Under chance the square of a correlation with t targets is about t / n, not 0.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from lpcm.metrics.comparison import Comparison
from lpcm.metrics.memory import remembered
from lpcm.plugin.truth import FactorKind, Factors


class Correlation(str, Enum):
    """What is correlated."""

    PEARSON = "pearson"  # values
    SPEARMAN = "spearman"  # ranks of components and of continuous factors


@remembered
def associations(
    comparison: Comparison, correlation: Correlation = Correlation.PEARSON
) -> NDArray[np.float64]:
    """Multiple correlation of every factor with every component, (f, k) in [0, 1]; 0 for constant components."""
    if correlation is Correlation.SPEARMAN:
        comparison = ranked(comparison)
    squares = np.empty((comparison.f, comparison.k))
    for factor in range(comparison.f):
        basis = orthonormal(comparison.targets(factor))
        squares[factor] = np.square(basis.T @ comparison.standard).sum(0) / comparison.n
    return np.sqrt(np.minimum(squares, 1.0))


def ranked(comparison: Comparison) -> Comparison:
    """Components and continuous factors by their ranks; ties share their mean rank."""
    values = comparison.factors.values.copy()
    for place, kind in enumerate(comparison.factors.kinds):
        if kind is FactorKind.CONTINUOUS:
            values[:, place] = rankdata(values[:, place])
    factors = Factors(comparison.factors.names, comparison.factors.kinds, values)
    return Comparison(factors, rankdata(comparison.codes, axis=0))


def orthonormal(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """An orthonormal basis (n, r) of what centred columns (n, t) span; indicators of c values span c - 1."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    # Dependent columns leave singular values of rounding size only.
    basis: NDArray[np.float64] = left[:, sizes > sizes[0] * max(columns.shape) * np.finfo(np.float64).eps]
    return basis
