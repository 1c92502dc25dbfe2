"""The unit hypersphere: uniform marginal, von Mises-Fisher conditional, and laws that violate the theorem.

Refuses points that are not on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lpcm.geometries.draws import free
from lpcm.geometries.extents import Extent
from lpcm.geometries.laws import POWER_LAWS, LawName
from lpcm.geometries.similarities import Similarity
from lpcm.geometries.space import Space, draws_wanted
from lpcm.geometries.wood import cosines
from lpcm.keys import Key

if TYPE_CHECKING:
    import torch

_ROWS = 1 << 13  # draws are made a few rows at a time, so that they stay in the cache


class Sphere(Space):
    """S^(d-1) in R^d with p(z) uniform and p(z' | z) proportional to exp(kappa z . z').

    A contrastive optimum with the dot product recovers the latents up to an orthogonal map; its scale plays
    the part of kappa.

    Args:
        dim: d, 2 or more.
        marginal: ``uniform``; or ``normal:s``, ``laplace:b``, ``gennorm:s:p``: noise in R^d around the first axis,
            projected back.
        conditional: ``vmf:kappa``; or noise in R^d around the latent, projected back.
        similarity: ``dot``, ``l1``, ``sqeuclidean`` or ``lp:P``; ``None`` for the one of the conditional.
        extent: ``"learned"`` for a head whose radius is learnt, ``"fixed"`` for one that lands on this sphere.

    Attributes:
        similarity, p: ``"dot"``, 2 for ``vmf``, else that of the law of the noise.
        identifies: ``"orthogonal"`` for the uniform marginal and ``vmf`` with the dot product, or with the squared
            distance, which on a sphere is the same; ``"nothing"`` when the model is not the truth.

    Raises:
        UsageError: for a width below 2, and laws that a sphere does not have.

    Source: "Beyond DAGs", arXiv 2402.06223, theorem 4.1; the projected laws: Zimmermann et al. 2021,
    arXiv 2102.08850, section 4.1.

    Example:
        >>> sphere = Sphere(3, conditional="vmf:50")
        >>> z = sphere.sample_marginal(Key.of(0), 5)
        >>> partner = sphere.sample_conditional(Key.of(1), z)
        >>> partner.shape
        (5, 3)
    """

    name = "sphere"
    least_dim = 2
    marginals = (LawName.UNIFORM, *POWER_LAWS)
    conditionals = (LawName.VMF, *POWER_LAWS)

    def __init__(
        self,
        dim: int,
        *,
        marginal: str = "uniform",
        conditional: str = "vmf:1",
        similarity: str | None = None,
        extent: str = "fixed",
    ) -> None:
        super().__init__(dim, marginal, conditional, similarity)
        self.extent = Extent.of(extent)

    def _identifies(self, similarity: Similarity) -> str:
        if self.marginal.name is not LawName.UNIFORM or self.conditional.name is not LawName.VMF:
            return "nothing"
        # |x - y|^2 = 2 - 2 x . y for unit vectors.
        is_dot = similarity.name == "dot" or similarity.p == 2
        return "orthogonal" if is_dot and self.conditional.kappa > 0 else "nothing"

    @property
    def matched_scale(self) -> float | None:
        """Kappa, or half of it for the squared distance; ``None`` for laws that were projected."""
        if self.conditional.name is not LawName.VMF or (self.similarity != "dot" and self.p != 2):
            return None
        return self.conditional.kappa / (1 if self.similarity == "dot" else 2)

    def sample_marginal(self, key: Key, n: int) -> NDArray[np.float64]:
        """Draw n points, (n, d)."""
        generator, shape = key.fold("marginal").generator(), (draws_wanted(n), self.dim)
        if self.marginal.name is LawName.UNIFORM:
            return self.project(generator.standard_normal(shape))
        return self.project(np.eye(1, self.dim) + free(generator, self.marginal, shape))

    def sample_conditional(self, key: Key, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Draw one partner of each row of z, (n, d) -> (n, d).

        Raises:
            DataError: when a row of z is not on the sphere.
        """
        z = self._points(z)
        self._in_space(np.abs(np.linalg.norm(z, axis=1) - 1), "on the unit sphere", 1)
        generator = key.fold("conditional").generator()
        if self.conditional.name is not LawName.VMF:
            return self.project(z + free(generator, self.conditional, z.shape))
        along = cosines(generator, self.conditional.kappa, self.dim, len(z))
        drawn = np.empty_like(z)
        for start in range(0, len(z), _ROWS):
            rows = slice(start, start + _ROWS)
            drawn[rows] = _around(generator, self.project(z[rows]), along[rows, None])
        return drawn

    def project(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Divide each row by its norm, (n, d) -> (n, d); the origin, equally near to all, goes to e1."""
        z = self._points(z)
        norms = np.sqrt(np.einsum("ij,ij->i", z, z))
        if not ((norms > _SMALL) & (norms < _LARGE)).all():
            # The largest entry is divided out first, or squares of a tiny or huge row would vanish or overflow.
            peak = np.abs(z).max(1, keepdims=True)
            z = z / np.where(peak > 0, peak, 1)
            z[peak[:, 0] == 0, 0] = 1
            norms = np.linalg.norm(z, axis=1)
        on_sphere: NDArray[np.float64] = z / norms[:, None]
        return on_sphere

    def head(self, d_in: int) -> torch.nn.Module:
        """Make a module (n, d_in) -> (n, d): a linear map where the widths differ, then division by norm."""
        from lpcm.geometries.heads import SphereHead

        return SphereHead(d_in, self.dim, self.extent)


# Between these, no square of an entry that matters has lost digits to underflow, and none has overflown.
_SMALL, _LARGE = 1e-130, 1e150


def _around(
    generator: np.random.Generator, z: NDArray[np.float64], along: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Points at given cosines from unit rows z, in a direction across that is uniform."""
    across = generator.standard_normal(z.shape)
    across -= np.einsum("ij,ij->i", across, z)[:, None] * z
    # The sine is put in where the norm is divided out: one pass over the rows less.
    stretch = np.sqrt((1 - along) * (1 + along)) / np.sqrt(np.einsum("ij,ij->i", across, across))[:, None]
    partners: NDArray[np.float64] = along * z + stretch * across
    return partners
