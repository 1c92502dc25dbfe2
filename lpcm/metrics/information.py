"""Mutual information between components and factors, in nats: by histograms, and by neighbours.

Refuses to correct for bias: both estimators are those of the metrics' sources, and what is known of their bias is
returned or said in the metrics' cards.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from lpcm.errors import UsageError, nearest
from lpcm.keys import Key
from lpcm.metrics.comparison import Comparison
from lpcm.metrics.memory import remembered


class Binning(str, Enum):
    """How a component is cut into bins."""

    WIDTH = "width"  # equally wide, as numpy.histogram: disentanglement_lib's
    QUANTILE = "quantile"  # equally full: outliers do not empty the middle


def binning_of(name: str) -> Binning:
    """The binning of that name. Raises ``UsageError`` that lists them."""
    try:
        return Binning(name)
    except ValueError:
        known = [binning.value for binning in Binning]
        raise UsageError(
            f"binning is {name!r}: expected {' or '.join(map(repr, known))}", nearest(name, known)
        ) from None


def binned(values: NDArray[np.float64], bins: int, binning: Binning) -> NDArray[np.int64]:
    """Bins of each component, (n, k) whole numbers in [0, bins)."""
    if binning is Binning.QUANTILE:
        # Edges are values that occur, so that a monotone map moves no row into another bin.
        edges = np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1], axis=0, method="inverted_cdf")
        return np.stack(
            [
                np.searchsorted(cut, column, side="left")
                for cut, column in zip(edges.T, values.T, strict=True)
            ],
            axis=1,
        ).astype(np.int64)
    low, high = values.min(0), values.max(0)
    width = np.where(high > low, high - low, 1.0)
    cut: NDArray[np.int64] = np.minimum((values - low) / width * bins, bins - 1).astype(np.int64)
    return cut


@remembered
def histogram_information(comparison: Comparison, bins: int, binning: Binning) -> NDArray[np.float64]:
    """Plug-in mutual information of every factor with every component, (f, k) nats.

    Args:
        comparison: codes and factors.
        bins: of a component; factors are taken by ``Comparison.levels``.
        binning: how components are cut.

    It is too large by about (b - 1)(l - 1) / (2 n) for b occupied bins and l levels (Miller 1955).
    """
    codes = binned(comparison.codes, bins, binning)
    found = np.zeros((comparison.f, comparison.k))
    for factor in range(comparison.f):
        levels = comparison.levels(factor)
        count = int(levels.max()) + 1
        for component in np.flatnonzero(comparison.active):
            joint = np.bincount(levels * bins + codes[:, component], minlength=count * bins)
            found[factor, component] = _table_information(joint.reshape(count, bins) / comparison.n)
    return found


def entropies(comparison: Comparison) -> NDArray[np.float64]:
    """Entropy of the levels of each factor, (f,) nats."""
    found = []
    for factor in range(comparison.f):
        shares = np.bincount(comparison.levels(factor)) / comparison.n
        found.append(float(-(shares * np.log(shares)).sum()))
    return np.array(found)


@remembered
def neighbour_information(comparison: Comparison, neighbours: int) -> NDArray[np.float64]:
    """Nearest-neighbour mutual information of every factor's levels with every component, (f, k) nats.

    For a row with N_l rows of its level, the distance to its ``neighbours``-th neighbour among them, and m rows
    of any level within that distance (itself included):

        I = psi(N) - <psi(N_l)> + psi(k) - <psi(m)>,    at least 0,

    with k at most N_l - 1, and rows that are alone in their level left out.

    Source: Ross 2014; equals scikit-learn's ``mutual_info_classif`` (a test), which the metric's
    source calls pair by pair. In one dimension a sort finds all neighbours, and all components go at once.
    """
    codes = _without_ties(comparison.standard)
    found = np.zeros((comparison.f, comparison.k))
    for factor in range(comparison.f):
        levels = comparison.levels(factor)
        counts = np.bincount(levels)[levels]
        kept = counts > 1
        if not kept.any():
            continue
        found[factor] = _ross(codes[kept], levels[kept], counts[kept], neighbours)
    found[:, ~comparison.active] = 0.0
    return np.maximum(found, 0.0)


def _table_information(joint: NDArray[np.float64]) -> float:
    independent = np.outer(joint.sum(1), joint.sum(0))
    there = joint > 0
    return max(float((joint[there] * np.log(joint[there] / independent[there])).sum()), 0.0)


def _ross(
    codes: NDArray[np.float64], levels: NDArray[np.int64], counts: NDArray[np.int64], neighbours: int
) -> NDArray[np.float64]:
    n, k = codes.shape
    radius = np.empty_like(codes)
    used = np.empty(n)
    for level in np.unique(levels):
        rows = np.flatnonzero(levels == level)
        reach = min(neighbours, len(rows) - 1)
        radius[rows] = _neighbour_distance(codes[rows], reach)
        used[rows] = digamma(reach)
    # Less than the distance by the rounding of a sum of two codes, so that the neighbour itself is never counted.
    radius = np.maximum(radius - 4 * np.finfo(np.float64).eps * np.abs(codes).max(0), 0)
    within = np.empty_like(codes)
    for component in range(k):
        column = np.sort(codes[:, component])
        high = np.searchsorted(column, codes[:, component] + radius[:, component], side="right")
        within[:, component] = high - np.searchsorted(
            column, codes[:, component] - radius[:, component], side="left"
        )
    found: NDArray[np.float64] = digamma(n) - digamma(counts).mean() + used.mean() - digamma(within).mean(0)
    return found


def _neighbour_distance(codes: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Distance of each of m rows to its ``reach``-th nearest other row, a column at a time: (m, k)."""
    order = np.argsort(codes, axis=0)
    ordered = np.take_along_axis(codes, order, axis=0)
    m = len(codes)
    # The nearest ``reach`` others lie, with the row itself, in a window of reach + 1 sorted rows.
    distance = np.full_like(ordered, np.inf)
    for left in range(reach + 1):
        right = reach - left
        middle = slice(left, m - right)
        span = np.maximum(ordered[middle] - ordered[: m - reach], ordered[reach:] - ordered[middle])
        distance[middle] = np.minimum(distance[middle], span)
    found = np.empty_like(distance)
    np.put_along_axis(found, order, distance, axis=0)
    return found


def _without_ties(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Codes of variance 1 with noise far below any difference that means something; ties have no neighbours.

    Of size 1e-10, as scikit-learn's (Kraskov et al. 2004, section II, advise it).
    """
    generator = Key.of(0).fold("ties", *codes.shape).generator()
    return codes + 1e-10 * generator.standard_normal(codes.shape)
