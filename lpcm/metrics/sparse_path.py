"""Lasso paths from components to a factor: which components a linear probe needs when each one costs.

Refuses to choose a penalty by held-out rows: an information criterion chooses on the rows of the fit.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpcm.metrics.comparison import Comparison
from lpcm.metrics.memory import remembered

PENALTIES = 24
"""Penalties of a path, evenly spaced in their logarithm."""

_SMALLEST = 0.03  # of the penalty that leaves no component
_AT_ONCE = 4  # penalties between two looks at how many components are in

# Duality gap in units of the target's squared length: which components are in, not their third digit, is asked.
_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class SparsePath:
    """The path of one factor.

    Args:
        supports: sets of components in use by any of the factor's targets, largest penalty first; without repeats
            and without the empty one.
        chosen: (t, k) least-squares coefficients of each target on the set of its least extended BIC.
    """

    supports: tuple[NDArray[np.intp], ...]
    chosen: NDArray[np.float64]


@remembered
def sparse_paths(comparison: Comparison) -> tuple[SparsePath, ...]:
    """The paths of all factors on the rows of the fit, components having variance 1.

    Source: Tibshirani 1996; scikit-learn's ``lasso_path`` on the Gram matrix, so that rows are read once.
    """
    rows = comparison.standard[comparison.fit]
    rows = rows - rows.mean(0)
    gram = rows.T @ rows
    targets = [comparison.targets(factor)[comparison.fit] for factor in range(comparison.f)]
    pairs = comparison.k * sum(columns.shape[1] for columns in targets)
    return tuple(_path(rows, gram, columns, pairs) for columns in targets)


def _path(
    rows: NDArray[np.float64], gram: NDArray[np.float64], targets: NDArray[np.float64], pairs: int
) -> SparsePath:
    targets = targets - targets.mean(0)
    n, k = rows.shape
    slopes = targets.T @ rows
    largest = float(np.abs(slopes).max()) / n
    if largest == 0:  # no component varies, or the factor does not on these rows
        return SparsePath((), np.zeros((targets.shape[1], k)))
    # The same penalties for all targets of a factor, so that a penalty has one set of components.
    penalties = largest * np.geomspace(1, _SMALLEST, PENALTIES)
    walked = [
        _walk(rows, target, gram, slope, penalties) for target, slope in zip(targets.T, slopes, strict=True)
    ]
    # Sets are those of penalties that every target has reached.
    reached = min(len(path) for path in walked)
    together = np.stack([path[:reached] for path in walked], axis=1)
    chosen = [
        _chosen(path, gram, slope, target, pairs)
        for path, slope, target in zip(walked, slopes, targets.T, strict=True)
    ]
    return SparsePath(_supports(together), np.stack(chosen))


def _walk(
    rows: NDArray[np.float64],
    target: NDArray[np.float64],
    gram: NDArray[np.float64],
    slope: NDArray[np.float64],
    penalties: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Coefficients (a, k) at the first penalties, until more than a quarter of the rows are components.

    From there on nothing is sparse, and paths of wide codes take most of their time there. What does not converge
    ends the path as well: copies of a component to rounding can be exchanged for ever.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import lasso_path

    found = np.zeros((0, rows.shape[1]))
    if not target.any():  # an indicator of a value that only the held-out rows have
        return np.zeros((len(penalties), rows.shape[1]))
    last = None
    for start in range(0, len(penalties), _AT_ONCE):
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            try:
                _, path, _ = lasso_path(
                    rows,
                    target,
                    alphas=penalties[start : start + _AT_ONCE],
                    precompute=gram,
                    Xy=slope,
                    coef_init=last,
                    tol=_TOLERANCE,
                    max_iter=2000,
                )
            except ConvergenceWarning:
                break
        found = np.concatenate([found, path.T])
        last = path[:, -1].copy()
        if np.count_nonzero(last) > most_components(len(rows)):
            break
    return found


def most_components(n: int) -> int:
    """Components in a set that still counts as sparse among n rows."""
    return n // 4


def _supports(coefficients: NDArray[np.float64]) -> tuple[NDArray[np.intp], ...]:
    found: list[NDArray[np.intp]] = []
    for step in coefficients:
        used = np.flatnonzero((step != 0).any(0))
        if len(used) and not (found and np.array_equal(used, found[-1])):
            found.append(used)
    return tuple(found)


def _chosen(
    path: NDArray[np.float64],
    gram: NDArray[np.float64],
    slope: NDArray[np.float64],
    target: NDArray[np.float64],
    pairs: int,
) -> NDArray[np.float64]:
    """Least-squares coefficients (k,) of a target on the set of its path with the least extended BIC.

        n ln(residual) + (ln(n) + 2 ln(pairs)) (components in the set)

    Source: the extended BIC of Chen and Chen 2008 with gamma = 1, which allows for how many candidates there are to
    choose from; here those are the pairs of a component and a target, over all factors. By the plain one (Schwarz
    1978) a few of many components of noise get in, each for one factor, and look disentangled. Sets are refitted
    (Meinshausen 2007), or the shrinkage of the lasso would count against them.
    """
    n = len(target)
    price = np.log(n) + 2 * np.log(pairs)
    chosen: NDArray[np.float64] = np.zeros(len(gram))
    total = float(np.square(target).sum())
    least = 0.0  # of the empty set, in units that leave the total out
    for used in _supports(path[:, None]):
        if len(used) > most_components(n):
            break
        weights = _least_squares(gram, slope, used, n)
        # A perfect fit has no logarithm; from there on only the number of components counts.
        left = max(1 - float(slope[used] @ weights) / total, 1e-12)
        value = float(n * np.log(left) + price * len(used))
        if value < least:
            least = value
            chosen[:] = 0.0
            chosen[used] = weights
    return chosen


def _least_squares(
    gram: NDArray[np.float64], slope: NDArray[np.float64], used: NDArray[np.intp], n: int
) -> NDArray[np.float64]:
    """Coefficients on these components; a ridge of a millionth, so that copies do not make the system singular."""
    ridged = gram[np.ix_(used, used)] + 1e-6 * n * np.eye(len(used))
    return np.asarray(np.linalg.solve(ridged, slope[used]), dtype=np.float64)
