"""The unit hypersphere: uniform marginal, von Mises-Fisher conditional. Refuses points that are not on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError, UsageError
from lpcm.keys import Key

if TYPE_CHECKING:
    import torch

_OFF_SPHERE = 1e-3  # a float32 unit vector of a few thousand entries is off by less than 1e-4


class Sphere:
    """S^(d-1) in R^d with p(z) uniform and p(z' | z) proportional to exp(kappa z . z').

    A contrastive optimum with the dot product recovers the latents up to an orthogonal map; its scale plays
    the part of kappa.

    Args:
        dim: d, 2 or more.
        kappa: concentration of the conditional, 0 (uniform) or more.

    Attributes:
        similarity: ``"dot"``.
        identifies: ``"orthogonal"``.

    Source: "Beyond DAGs", arXiv 2402.06223, theorem 4.1.

    Example:
        >>> sphere = Sphere(3, kappa=50.0)
        >>> z = sphere.sample_marginal(Key.of(0), 5)
        >>> partner = sphere.sample_conditional(Key.of(1), z)
        >>> partner.shape
        (5, 3)
    """

    similarity = "dot"
    identifies = "orthogonal"

    def __init__(self, dim: int, *, kappa: float = 1.0) -> None:
        if dim < 2:
            raise UsageError(f"a sphere of dimension {dim} was asked for: expected dim of 2 or more")
        if not (kappa >= 0 and np.isfinite(kappa)):
            raise UsageError(f"kappa is {kappa}: expected a finite number of 0 or more")
        self.dim = dim
        self.kappa = float(kappa)

    def sample_marginal(self, key: Key, n: int) -> NDArray[np.float64]:
        """Draw n points uniformly, (n, d)."""
        return self.project(key.fold("marginal").generator().standard_normal((n, self.dim)))

    def sample_conditional(self, key: Key, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Draw one von Mises-Fisher partner of each row of z, (n, d) -> (n, d).

        Raises:
            DataError: when a row of z is not on the sphere.
        """
        z = self._checked(z)
        norms = np.linalg.norm(z, axis=1)
        off = int((np.abs(norms - 1) > _OFF_SPHERE).sum())
        if off:
            raise DataError(
                f"{off} of {len(z)} points are not on the unit sphere", "project(z) puts them there"
            )
        generator = key.fold("conditional").generator()
        along = self._cosines(generator, len(z))[:, None]
        across = generator.standard_normal(z.shape)
        across = self.project(
            across - np.einsum("ij,ij->i", across, z)[:, None] * z / np.square(norms)[:, None]
        )
        return self.project(along * z + np.sqrt(1 - np.square(along)) * across)

    def project(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Divide each row by its norm, (n, d) -> (n, d); the origin, equally near to all, goes to e1."""
        z = self._checked(z)
        # The largest entry is divided out first, or squares of a tiny or huge row would vanish or overflow.
        peak = np.abs(z).max(1, keepdims=True)
        scaled = z / np.where(peak > 0, peak, 1)
        scaled[peak[:, 0] == 0, 0] = 1
        on_sphere: NDArray[np.float64] = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
        return on_sphere

    def head(self, d_in: int) -> torch.nn.Module:
        """Make a module (n, d_in) -> (n, d): a linear map where the widths differ, then division by norm."""
        from lpcm.geometries.heads import SphereHead

        return SphereHead(d_in, self.dim)

    def _checked(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        z = np.asarray(z, dtype=np.float64)
        if z.ndim != 2 or z.shape[1] != self.dim:
            raise DataError(f"points have shape {z.shape}: expected (n, {self.dim})")
        if not np.isfinite(z).all():
            raise DataError("points hold NaN or infinity: expected finite numbers")
        return z

    def _cosines(self, generator: np.random.Generator, n: int) -> NDArray[np.float64]:
        """Draw n cosines w of a partner with its point: density exp(kappa w) (1 - w^2)^((d - 3) / 2).

        Source: A. T. A. Wood, "Simulation of the von Mises Fisher distribution", 1994: rejection from a
        transformed Beta; all that are still open are proposed at once, and about two in three are accepted.
        """
        m = self.dim - 1
        b = m / (2 * self.kappa + np.sqrt(4 * self.kappa**2 + m**2))
        x0 = (1 - b) / (1 + b)
        log_bound = self.kappa * x0 + m * np.log1p(-(x0**2))
        cosines = np.empty(n)
        open_ = np.arange(n)
        while len(open_):
            beta = generator.beta(m / 2, m / 2, len(open_))
            w = (1 - (1 + b) * beta) / (1 - (1 - b) * beta)
            accepted = self.kappa * w + m * np.log1p(-x0 * w) - log_bound >= np.log1p(
                -generator.random(len(open_))
            )
            cosines[open_[accepted]] = w[accepted]
            open_ = open_[~accepted]
        return np.clip(cosines, -1, 1)
