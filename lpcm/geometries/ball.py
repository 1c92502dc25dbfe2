"""The ball, a convex body without edges: partners from a law cut to it. Refuses points outside of it.

Source: "Beyond DAGs", arXiv 2402.06223, theorem 4.3 (4.2 in the version of ICLR 2026), for any convex body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import UsageError
from lpcm.geometries.extents import Extent
from lpcm.geometries.laws import POWER_LAWS, LawName
from lpcm.geometries.rejection import uniform_in_ball, within_ball
from lpcm.geometries.similarities import Similarity
from lpcm.geometries.space import Space, draws_wanted
from lpcm.keys import Key

if TYPE_CHECKING:
    import torch


class Ball(Space):
    """Points of Euclidean norm at most ``radius``, p(z) uniform, p(z' | z) ~ exp(-sum_i (|z'_i - z_i| / a)^p) in it.

    As in the box an optimum keeps distances of that power: signed permutations remain, although the ball itself has
    no axes; for a power of 2 rotations do.

    Args:
        dim: d, 1 or more.
        marginal: ``uniform``, or ``normal:s``, ``laplace:b``, ``gennorm:s:p`` around the centre, cut to the ball.
        conditional: ``laplace:b``, ``normal:s`` or ``gennorm:s:p`` around the latent, cut to the ball.
        similarity: ``l1``, ``sqeuclidean``, ``lp:P`` or ``dot``; ``None`` for the one of the conditional.
        radius: of the ball.
        extent: ``"learned"`` for a head whose radius is learnt, ``"fixed"`` for one that fills this ball.

    Attributes:
        similarity, p: ``"l1"``, 1 for ``laplace``; ``"sqeuclidean"``, 2 for ``normal``; ``"lp"`` for ``gennorm``.
        identifies: ``"permutation"`` for a uniform marginal and a power that is the conditional's own and not 2,
            ``"orthogonal"`` for 2; ``"nothing"`` when the model is not the truth.

    Raises:
        UsageError: for a radius that is not above 0, a width below 1, laws that a ball does not have.

    Source: arXiv 2402.06223, theorem 4.3; the isometries of L_p: Banach 1932 and Lamperti 1958, affine by Mankiewicz
    1972.

    Example:
        >>> ball = Ball(3)
        >>> partner = ball.sample_conditional(Key.of(1), ball.sample_marginal(Key.of(0), 5))
        >>> bool((np.linalg.norm(partner, axis=1) <= 1).all())
        True
    """

    name = "ball"
    marginals = (LawName.UNIFORM, *POWER_LAWS)
    conditionals = POWER_LAWS

    def __init__(
        self,
        dim: int,
        *,
        marginal: str = "uniform",
        conditional: str = "laplace:0.05",
        similarity: str | None = None,
        radius: float = 1.0,
        extent: str = "fixed",
    ) -> None:
        if not (radius > 0 and np.isfinite(radius)):
            raise UsageError(
                f"a ball of radius {radius:g} was asked for: expected a finite number above 0",
                "type radius=1",
            )
        self.radius = float(radius)
        super().__init__(dim, marginal, conditional, similarity)
        self.extent = Extent.of(extent)

    def _identifies(self, similarity: Similarity) -> str:
        if self.marginal.name is not LawName.UNIFORM or not similarity.goes_with(self.conditional):
            return "nothing"
        return "orthogonal" if similarity.p == 2 else "permutation"

    def sample_marginal(self, key: Key, n: int) -> NDArray[np.float64]:
        """Draw n points of the ball, (n, d)."""
        shape = (draws_wanted(n), self.dim)
        generator = key.fold("marginal").generator()
        if self.marginal.name is LawName.UNIFORM:
            return self.radius * uniform_in_ball(generator, shape)
        return within_ball(generator, self.marginal, np.zeros(shape), self.radius)

    def sample_conditional(self, key: Key, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Draw one partner of each row of z, (n, d) -> (n, d).

        Raises:
            DataError: when a row of z is not in the ball.
            UsageError: when fewer than one draw in 10,000 would fall into the ball (many dimensions, and a scale
                between a fifth of the radius and all of it).
        """
        inside = self.project(z)
        self._in_space(np.abs(inside - z).max(1), f"in the ball of radius {self.radius:g}", self.radius)
        return within_ball(key.fold("conditional").generator(), self.conditional, inside, self.radius)

    def project(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pull points outside back to the surface, towards the centre, (n, d) -> (n, d)."""
        z = self._points(z).copy()
        # The largest entry is divided out first, or squares of a tiny or huge row would vanish or overflow.
        peak = np.abs(z).max(1)
        shape = z / np.where(peak > 0, peak, 1)[:, None]
        norms = np.linalg.norm(shape, axis=1)
        beyond = norms > self.radius / np.where(peak > 0, peak, self.radius)
        z[beyond] = shape[beyond] / norms[beyond, None] * self.radius
        return z

    def head(self, d_in: int) -> torch.nn.Module:
        """Make a module (n, d_in) -> (n, d): a linear map where the widths differ, then x / sqrt(1 + |x|^2)."""
        from lpcm.geometries.heads import BallHead

        return BallHead(d_in, self.dim, self.radius, self.extent)
