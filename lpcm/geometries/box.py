"""The hyperrectangle, a convex body: partners from a law cut to it. Refuses points outside of it.

Source: "Beyond DAGs", arXiv 2402.06223, theorem 4.3 (4.2 in the version of ICLR 2026).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import UsageError
from lpcm.geometries.draws import within
from lpcm.geometries.extents import Extent
from lpcm.geometries.laws import POWER_LAWS, LawName
from lpcm.geometries.similarities import Similarity
from lpcm.geometries.space import Space, draws_wanted
from lpcm.keys import Key

if TYPE_CHECKING:
    import torch


class Box(Space):
    """[lower, upper]^d with p(z) uniform and p(z' | z) proportional to exp(-sum_i (|z'_i - z_i| / a)^p) in it.

    A contrastive optimum with minus the distance to that power keeps distances up to a factor. For a power other
    than 2 that leaves only signed permutations of the axes, for 2 any rotation.

    Args:
        dim: d, 1 or more.
        marginal: ``uniform``, or ``normal:s``, ``laplace:b``, ``gennorm:s:p`` around the centre, cut to the box.
        conditional: ``laplace:b``, ``normal:s`` or ``gennorm:s:p`` around the latent, cut to the box.
        similarity: ``l1``, ``sqeuclidean``, ``lp:P`` or ``dot``; ``None`` for the one of the conditional.
        lower, upper: bounds of every coordinate.
        extent: ``"learned"`` for a head whose sides are learnt, ``"fixed"`` for one that fills this box.

    Attributes:
        similarity, p: ``"l1"``, 1 for ``laplace``; ``"sqeuclidean"``, 2 for ``normal``; ``"lp"`` for ``gennorm``.
        identifies: ``"permutation"`` for a uniform marginal and a power that is the conditional's own and not 2,
            ``"orthogonal"`` for 2; ``"nothing"`` when the model is not the truth.

    Raises:
        UsageError: for an empty box, a width below 1, laws that a box does not have.

    Source: arXiv 2402.06223, theorem 4.3; the isometries of L_p: Banach 1932 and Lamperti 1958, affine by Mankiewicz
    1972.

    Example:
        >>> box = Box(3, conditional="laplace:0.1")
        >>> z = box.sample_marginal(Key.of(0), 5)
        >>> partner = box.sample_conditional(Key.of(1), z)
        >>> bool((0 <= partner).all() and (partner <= 1).all())
        True
    """

    name = "box"
    marginals = (LawName.UNIFORM, *POWER_LAWS)
    conditionals = POWER_LAWS

    def __init__(
        self,
        dim: int,
        *,
        marginal: str = "uniform",
        conditional: str = "laplace:0.05",
        similarity: str | None = None,
        lower: float = 0.0,
        upper: float = 1.0,
        extent: str = "learned",
    ) -> None:
        if not (lower < upper and np.isfinite(float(upper) - float(lower))):
            raise UsageError(
                f"a box from {lower:g} to {upper:g} was asked for: expected finite bounds, lower below upper",
                "type for example lower=0 upper=1",
            )
        self.lower, self.upper = float(lower), float(upper)
        super().__init__(dim, marginal, conditional, similarity)
        self.extent = Extent.of(extent)

    def _identifies(self, similarity: Similarity) -> str:
        if self.marginal.name is not LawName.UNIFORM or not similarity.goes_with(self.conditional):
            return "nothing"
        return "orthogonal" if similarity.p == 2 else "permutation"

    def sample_marginal(self, key: Key, n: int) -> NDArray[np.float64]:
        """Draw n points of the box, (n, d)."""
        shape = (draws_wanted(n), self.dim)
        generator = key.fold("marginal").generator()
        if self.marginal.name is LawName.UNIFORM:
            # The end of an interval that is wide for doubles may be rounded beyond its bound.
            return np.clip(generator.uniform(self.lower, self.upper, shape), self.lower, self.upper)
        centre = np.full(shape, self.lower / 2 + self.upper / 2)
        return within(generator, self.marginal, centre, self.lower, self.upper)

    def sample_conditional(self, key: Key, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Draw one partner of each row of z, (n, d) -> (n, d), by inverting the cut law.

        Raises:
            DataError: when a row of z is not in the box.
        """
        inside = self.project(z)
        self._in_space(np.abs(inside - z).max(1), self._where(), self.upper - self.lower)
        return within(key.fold("conditional").generator(), self.conditional, inside, self.lower, self.upper)

    def project(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Clip each coordinate to its bounds, (n, d) -> (n, d)."""
        return np.clip(self._points(z), self.lower, self.upper)

    def head(self, d_in: int) -> torch.nn.Module:
        """Make a module (n, d_in) -> (n, d): a linear map where the widths differ, then a sigmoid for each side."""
        from lpcm.geometries.heads import BoxHead

        return BoxHead(d_in, self.dim, self.lower, self.upper, self.extent)

    def _where(self) -> str:
        return f"in the box from {self.lower:g} to {self.upper:g}"
