"""Draws from the power laws, exp(-(|u| / a)^p) for each coordinate: free, or within bounds and then exact.

Nothing is drawn again until it fits: a bounded draw inverts the law's distribution function between the bounds, at once
or where a free draw fell outside. Refuses means outside of the bounds, where a tail alone would be left and doubles
would not do.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from lpcm.geometries.laws import Law

_ROWS = 1 << 13  # draws are made a few rows at a time, so that they stay in the cache
_LINEAR = 1e-17  # for (r / a)^p below it, a distribution function is its first term to the last bit
_ONE = 1 - 2**-53  # where a share would be 1, its quantile infinite

Array = NDArray[np.float64]


def free(generator: np.random.Generator, law: Law, shape: tuple[int, ...]) -> Array:
    """Draw differences u, whose coordinates have density proportional to exp(-(|u| / a)^p).

    ``gennorm``: (|u| / a)^p is Gamma(1/p) distributed (substitute in the density), and Gamma(1/p) is Gamma(1 + 1/p)
    times U^p for a uniform U, so that u is a times a uniform number in [-1, 1] times Gamma(1 + 1/p)^(1/p).
    """
    if law.exponent == 1:
        return generator.laplace(scale=law.radius, size=shape)
    if law.exponent == 2:
        return law.radius * math.sqrt(0.5) * generator.standard_normal(shape)
    reach = np.asarray(generator.standard_gamma(1 + 1 / law.exponent, shape)) ** (1 / law.exponent)
    return np.asarray(law.radius * reach * generator.uniform(-1, 1, shape))


def within(generator: np.random.Generator, law: Law, mean: Array, lower: float, upper: float) -> Array:
    """Draw a point around each mean from the law cut to [lower, upper].

    Args:
        generator: where randomness comes from.
        law: a power law.
        mean: (n, d), each in [lower, upper].
        lower: bound of every coordinate.
        upper: bound of every coordinate.

    Returns:
        (n, d), each in [lower, upper].

    Raises:
        ValueError: when a mean is not between the bounds.
    """
    if mean.size and not (lower <= mean.min() and mean.max() <= upper):
        raise ValueError(
            f"means from {mean.min():g} to {mean.max():g}: expected them in [{lower:g}, {upper:g}]"
        )
    drawn = np.empty_like(mean)
    for start in range(0, len(mean), _ROWS):
        rows = slice(start, start + _ROWS)
        # A bound that is infinitely many scales away has share 1, as it should.
        with np.errstate(over="ignore"):
            drawn[rows] = _within(generator, law, mean[rows], lower, upper)
    return np.clip(drawn, lower, upper, out=drawn)


def _within(generator: np.random.Generator, law: Law, mean: Array, lower: float, upper: float) -> Array:
    if law.exponent != 1:
        # Inverting a normal law costs three times a draw, another one ten times. A draw that falls inside has the law
        # already; only the others are replaced, each by one that is inverted: exact, and nothing is drawn a third time.
        drawn = mean + free(generator, law, mean.shape)
        outside = ~((lower <= drawn) & (drawn <= upper))
        drawn[outside] = _inverted(generator, law, mean[outside], lower, upper)
        return drawn
    return _inverted(generator, law, mean, lower, upper)


def _inverted(generator: np.random.Generator, law: Law, mean: Array, lower: float, upper: float) -> Array:
    """Invert the distribution function at a uniform point between its values at the bounds.

    It is taken from the mean, where it is 0, so that it keeps its digits for bounds that are near in units of the
    scale: below the mean it is negative.
    """
    left = share(law, mean - lower)
    right = share(law, upper - mean)
    level = generator.random(mean.shape)
    level *= left + right
    level -= left
    distance = quantile(law, np.minimum(np.abs(level), _ONE))
    return mean + np.copysign(distance, level)


def free_mass(law: Law) -> float:
    """The integral of exp(-(|u| / a)^p) over all u: 2 a Gamma(1 + 1/p)."""
    return 2 * law.radius * math.gamma(1 + 1 / law.exponent)


def share(law: Law, distance: Array) -> Array:
    """P(|u| <= distance) of the free law, distances 0 or more."""
    r = distance / law.radius
    if law.exponent == 1:
        return np.asarray(-np.expm1(-r))
    if law.exponent == 2:
        return np.asarray(special.erf(r))
    s = 1 / law.exponent
    power = r**law.exponent
    return np.asarray(np.where(power < _LINEAR, r / special.gamma(1 + s), special.gammainc(s, power)))


def quantile(law: Law, level: Array) -> Array:
    """The distance with P(|u| <= distance) = level, for levels in [0, 1)."""
    if law.exponent == 1:
        return np.asarray(-law.radius * np.log1p(-level))
    if law.exponent == 2:
        return np.asarray(law.radius * special.erfinv(level))
    s = 1 / law.exponent
    near = level * special.gamma(1 + s)
    r = np.where(near**law.exponent < _LINEAR, near, special.gammaincinv(s, level) ** s)
    return np.asarray(law.radius * r)
