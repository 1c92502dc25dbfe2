"""Draws from the power laws cut to a ball, exactly. Refuses laws of which hardly a draw would fall into it.

The distribution function of a cut coordinate has no closed form here, so that points are proposed and accepted. From
two proposals each row takes the one that is accepted more often, which is known beforehand:

- the law cut to the cube around the ball, accepted inside the ball: with probability M / C, where M is the law's mass
  in the ball (its peak 1) and C that in the cube;
- a uniform point of the ball, accepted with the law's density: with probability M / V, V the ball's volume.

Expected proposals a row for uniform latents, measured, with the scale b of ``laplace`` in units of the radius: at
d = 2 at most 2.4; at d = 10 1.4 (b = 0.05), 2.0 (0.1), 4.3 (0.2), 23 (0.5), 22 (1), 2 (5).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from lpcm.errors import UsageError
from lpcm.geometries.draws import free_mass, share, within
from lpcm.geometries.laws import Law

_ROWS = 1 << 13  # rows at a time; as rows are settled, those that are open get more proposals each
_PATIENCE = 10_000  # proposals for each accepted one

Array = NDArray[np.float64]


def uniform_in_ball(generator: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Draw points evenly over the unit ball: a direction, and a radius whose d-th power is uniform, (n, d)."""
    drawn = generator.standard_normal(shape)
    size = generator.random(shape[0]) ** (1 / shape[1])
    drawn *= (size / np.sqrt(np.einsum("ij,ij->i", drawn, drawn)))[:, None]
    return drawn


def within_ball(generator: np.random.Generator, law: Law, mean: Array, radius: float) -> Array:
    """Draw a point around each mean from the law cut to the ball.

    Args:
        generator: where randomness comes from.
        law: a power law.
        mean: (n, d), each in the ball.
        radius: of the ball.

    Returns:
        (n, d), each in the ball.

    Raises:
        UsageError: when fewer than one proposal in 10,000 is accepted.
    """
    drawn = np.empty_like(mean)
    law = replace(law, numbers=(law.scale / radius, *law.numbers[1:]))  # from here on the radius is 1
    for start in range(0, len(mean), _ROWS):
        rows = slice(start, start + _ROWS)
        around = np.clip(mean[rows] / radius, -1, 1)
        for chosen, evenly in _by_proposal(law, around):
            drawn[rows][chosen] = _accepted(generator, law, around[chosen], evenly)
    drawn *= radius
    return drawn


def _by_proposal(law: Law, mean: Array) -> tuple[tuple[NDArray[np.intp], bool], ...]:
    """Rows that take the cube's proposal, and rows that take the uniform one."""
    d = mean.shape[1]
    log_volume = d / 2 * math.log(math.pi) - special.gammaln(d / 2 + 1)
    everything = np.arange(len(mean))
    if d * math.log(free_mass(law)) <= log_volume:
        return ((everything, False),)
    with np.errstate(over="ignore"):
        inside = (share(law, 1 - mean) + share(law, 1 + mean)) / 2
    evenly = (np.log(inside) + math.log(free_mass(law))).sum(1) > log_volume
    return ((everything[~evenly], False), (everything[evenly], True))


def _accepted(generator: np.random.Generator, law: Law, mean: Array, evenly: bool) -> Array:
    drawn = np.empty_like(mean)
    open_ = np.arange(len(mean))
    proposed = 0
    while len(open_):
        if proposed > _PATIENCE * (len(mean) - len(open_) + 10):
            raise UsageError(
                f"hardly a draw of {law}, in units of the radius, falls into a ball of {mean.shape[1]} dimensions",
                "take a scale below a tenth of the radius or well above it, fewer dimensions, or the box",
            )
        rows = np.repeat(open_, max(1, _ROWS // len(open_)))
        proposed += len(rows)
        if evenly:
            points = uniform_in_ball(generator, (len(rows), mean.shape[1]))
            fall = np.power(np.abs(points - mean[rows]) / law.radius, law.exponent).sum(1)
            kept = np.flatnonzero(generator.standard_exponential(len(rows)) >= fall)
        else:
            points = within(generator, law, mean[rows], -1, 1)
            kept = np.flatnonzero(np.einsum("ij,ij->i", points, points) <= 1)
        settled, first = np.unique(rows[kept], return_index=True)
        drawn[settled] = points[kept[first]]
        open_ = np.setdiff1d(open_, settled, assume_unique=True)
    return drawn
