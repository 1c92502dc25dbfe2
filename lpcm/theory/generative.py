"""Pairs of observations from coupled latents, by two invertible mixings that differ. Refuses lossy mixings.

Source: "Beyond DAGs", arXiv 2402.06223, section 3: x = g_x(z_x, m_x) and t = g_t(z_t, m_t), z_x and z_t joined by one
undirected edge, m_x and m_t of one modality only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpcm.disentanglers.haar import haar
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import Geometry

SLOPE = 0.2  # of the leaky ReLU below 0, as in Zimmermann et al. 2021

# A mixing of condition c a layer and slope s loses at most (c / s) per layer; doubles have 16 digits to lose.
_LOST = 1e-8

_FOR_SPREAD = 4096  # latents that their spread is measured on: it is known to a hundredth


@dataclass(frozen=True, eq=False)
class Mixing:
    """An invertible MLP: linear maps without bias, and a leaky ReLU between them.

    Args:
        weights: (d, d) float64, one a layer, all invertible.

    Example:
        >>> mixing = Mixing.draw(Key.of(0), 7)
        >>> z = Key.of(1).generator().standard_normal((5, 7))
        >>> bool(np.allclose(mixing.invert(mixing(z)), z))
        True
    """

    weights: tuple[NDArray[np.float64], ...]

    @classmethod
    def draw(cls, key: Key, d: int, *, layers: int = 3, condition: float = 3.0) -> Mixing:
        """Draw one whose layers all have a given condition number.

        Each layer is U diag(s) V with U and V random orthogonal and s from sqrt(c) to 1 / sqrt(c) in equal ratios: no
        search among thousands of draws, and the condition number is known.

        Args:
            key: where randomness comes from.
            d: width, 1 or more.
            layers: linear maps, 1 or more; 1 is a linear mixing.
            condition: c, largest over smallest singular value of a layer, 1 or more.

        Raises:
            UsageError: for numbers that cannot be.
        """
        if d < 1 or layers < 1:
            raise UsageError(
                f"a mixing of width {d} and {layers} layers was asked for: expected 1 or more of both"
            )
        if not (math.isfinite(condition) and condition >= 1):
            raise UsageError(
                f"condition is {condition:g}: expected a finite number of 1 or more", "type for example 3"
            )
        values: NDArray[np.float64] = np.geomspace(math.sqrt(condition), 1 / math.sqrt(condition), d)
        weights = []
        for layer in range(layers):
            generator = key.fold("layer", layer).generator()
            weights.append((haar(d, generator) * values) @ haar(d, generator))
        mixing = cls(tuple(weights))
        mixing.check(key.fold("check"))
        return mixing

    @property
    def d(self) -> int:
        """Width of what goes in and comes out."""
        return len(self.weights[0])

    def __call__(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mix, (n, d) -> (n, d)."""
        x = z @ self.weights[0].T
        for weight in self.weights[1:]:
            x = np.maximum(x, SLOPE * x) @ weight.T  # a leaky ReLU, its slope being below 1
        return x

    def invert(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Unmix, (n, d) -> (n, d)."""
        z = np.asarray(np.linalg.solve(self.weights[-1], x.T).T, dtype=np.float64)
        for weight in self.weights[-2::-1]:
            z = np.asarray(np.linalg.solve(weight, np.where(z < 0, z / SLOPE, z).T).T, dtype=np.float64)
        return z

    def check(self, key: Key, n: int = 256) -> float:
        """Mix n normal points and unmix them again.

        Returns:
            The largest error of an entry.

        Raises:
            DataError: when something was lost.
        """
        z = key.generator().standard_normal((n, self.d))
        error = float(np.abs(self.invert(self(z)) - z).max())
        if not error < _LOST:
            raise DataError(
                f"a mixing of width {self.d} came back {error:.1e} off: it cannot be inverted in doubles",
                "take a smaller condition, or fewer layers",
            )
        return error


@dataclass(frozen=True, eq=False)
class Pairs:
    """n pairs with all that they were made of.

    Args:
        z_x, z_t: (n, d) coupled latents.
        m_x, m_t: (n, m) what only one side has.
        x, t: (n, d + m) float32 observations.
    """

    z_x: NDArray[np.float64]
    z_t: NDArray[np.float64]
    m_x: NDArray[np.float64]
    m_t: NDArray[np.float64]
    x: NDArray[np.float32]
    t: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class GenerativeModel:
    """The latent partial causal model: coupled latents on a geometry, noise of each side, two mixings.

    Args:
        geometry: of the coupled latents; its conditional is the undirected edge.
        image, text: mixings of width d + m.
        m: width of what only one side has; normal, independent of everything.
        spread: standard deviation of it; ``make`` takes that of a coordinate of z, so that neither drowns the other,
            as in Daunhawer et al. 2023, where both are standard normal.
        signal: correlation of a coordinate of z_x with that of its partner, mean over coordinates, as measured by
            ``make``.
        dependence: correlation in [0, 1) of a normal copula that ties the coordinates of z_x. The law of each
            coordinate stays, where the space allows it; on others the points are projected back.
        misaligned: share in [0, 1] of pairs whose text belongs to another image.
    """

    geometry: Geometry
    image: Mixing
    text: Mixing
    m: int
    spread: float
    signal: float
    dependence: float = 0.0
    misaligned: float = 0.0

    @classmethod
    def make(
        cls,
        key: Key,
        geometry: Geometry,
        *,
        m: int = 5,
        layers: int = 3,
        condition: float = 3.0,
        dependence: float = 0.0,
        misaligned: float = 0.0,
    ) -> GenerativeModel:
        """Draw the mixings of a model.

        Raises:
            UsageError: for numbers that cannot be.
        """
        if m < 0:
            raise UsageError(f"m is {m}: expected 0 or more latents of one side only")
        if not 0 <= dependence < 1:
            raise UsageError(f"dependence is {dependence:g}: expected a correlation from 0 to below 1")
        if not 0 <= misaligned <= 1:
            raise UsageError(f"misaligned is {misaligned:g}: expected a share from 0 to 1")
        image, text = (
            Mixing.draw(key.fold(side), geometry.dim + m, layers=layers, condition=condition)
            for side in ("image", "text")
        )
        z_x, z_t = _latents(geometry, key.fold("spread"), _FOR_SPREAD, dependence, misaligned)
        spread = float(geometry.sample_marginal(key.fold("spread"), _FOR_SPREAD).std(0).mean())
        signal = float(np.mean([np.corrcoef(x, t)[0, 1] for x, t in zip(z_x.T, z_t.T, strict=True)]))
        return cls(geometry, image, text, m, spread, signal, dependence, misaligned)

    def draw(self, key: Key, n: int) -> Pairs:
        """Draw n pairs."""
        z_x, z_t = _latents(self.geometry, key, n, self.dependence, self.misaligned)
        m_x, m_t = (
            self.spread * key.fold("own", side).generator().standard_normal((n, self.m))
            for side in ("image", "text")
        )
        x, t = (
            mixing(np.concatenate(parts, axis=1)).astype(np.float32)
            for mixing, parts in ((self.image, (z_x, m_x)), (self.text, (z_t, m_t)))
        )
        return Pairs(z_x, z_t, m_x, m_t, x, t)


def _latents(
    geometry: Geometry, key: Key, n: int, dependence: float, misaligned: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coupled latents of n pairs."""
    z_x = geometry.sample_marginal(key.fold("latent"), n)
    if dependence:
        z_x = geometry.project(tied(z_x, dependence, key.fold("tie")))
    z_t = geometry.sample_conditional(key.fold("partner"), z_x)
    if misaligned:
        z_t = _mispaired(z_t, misaligned, key.fold("misaligned"))
    return z_x, z_t


def tied(z: NDArray[np.float64], correlation: float, key: Key) -> NDArray[np.float64]:
    """Reorder each coordinate of independent draws so that the ranks have a normal copula of equal correlations.

    Source: Iman and Conover 1982. No value is made or lost, so each coordinate keeps its law.

    Args:
        z: (n, d), rows independent.
        correlation: in [0, 1), of any two coordinates of the copula.
        key: where randomness comes from.
    """
    n, d = z.shape
    generator = key.generator()
    common, own = generator.standard_normal((n, 1)), generator.standard_normal((n, d))
    copula = math.sqrt(correlation) * common + math.sqrt(1 - correlation) * own
    order = copula.argsort(axis=0).argsort(axis=0)
    reordered: NDArray[np.float64] = np.take_along_axis(np.sort(z, axis=0), order, axis=0)
    return reordered


def _mispaired(z_t: NDArray[np.float64], share: float, key: Key) -> NDArray[np.float64]:
    """Pass the partners of a random share of rows on in a circle, so that none of them keeps its own."""
    chosen = np.flatnonzero(key.generator().random(len(z_t)) < share)
    mixed = z_t.copy()
    mixed[chosen] = z_t[np.roll(chosen, 1)]
    return mixed
