"""The torus T^k, k circles in R^2k: a latent that is k angles. Refuses points that are not on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm_torus.laws import concentration

if TYPE_CHECKING:
    import torch

_OFF_TORUS = 1e-3  # float32 rows are off by 1e-7


class Torus:
    """k circles, as (cos a_1, sin a_1, ..., cos a_k, sin a_k), with p(z' | z) proportional to exp(kappa z . z').

    z . z' is the sum of the cosines of the k differences, so that the angles' partners are independent von Mises.
    With a uniform marginal a contrastive optimum with the dot product keeps dot products: it is an orthogonal map.
    One that maps the torus onto itself swaps circles, turns and mirrors them, so that each circle is found.

    Args:
        dim: d = 2k, even.
        marginal: ``uniform``, or ``vonmises:KAPPA`` for each angle around 0.
        conditional: ``vonmises:KAPPA`` for each angle around its own.

    Attributes:
        similarity, p: ``"dot"``, 2.
        identifies: ``"orthogonal"``; ``"nothing"`` for a marginal that is not uniform, or partners that are.
        matched_scale: kappa of the conditional, the scale at which the loss's model is the truth.

    Raises:
        UsageError: for an odd width, or a law that a torus does not have.

    Source: arXiv 2402.06223, theorem 4.1, whose proof uses of the sphere that it is uniform, of one norm and that
    what normalises the conditional is constant.

    Example:
        >>> torus = Torus(4, conditional="vonmises:50")
        >>> z = torus.sample_marginal(Key.of(0), 7)
        >>> bool(np.allclose(torus.project(torus.sample_conditional(Key.of(1), z)) ** 2 @ np.ones(4), 2))
        True
    """

    similarity = "dot"
    p = 2.0

    def __init__(self, dim: int, *, marginal: str = "uniform", conditional: str = "vonmises:5") -> None:
        if dim < 2 or dim % 2:
            raise UsageError(
                f"a torus of dimension {dim} was asked for: expected an even dim of 2 or more, two for each circle"
            )
        self.dim = dim
        self.marginal, self.conditional = marginal, conditional
        self._around_zero = concentration("marginal", marginal)
        self.matched_scale = concentration("conditional", conditional)
        self.identifies = "nothing" if self._around_zero or not self.matched_scale else "orthogonal"

    def sample_marginal(self, key: Key, n: int) -> NDArray[np.float64]:
        """Draw n points, (n, d)."""
        generator = key.fold("marginal").generator()
        angles = generator.vonmises(0, self._around_zero, (n, self.dim // 2))
        return np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(n, self.dim)

    def sample_conditional(self, key: Key, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn each circle of each row of z by a von Mises angle, (n, d) -> (n, d).

        Raises:
            DataError: when a row of z is not on the torus.
        """
        pairs = self._pairs(z)
        off = int((np.abs(np.linalg.norm(pairs, axis=-1) - 1) > _OFF_TORUS).any(axis=1).sum())
        if off:
            raise DataError(
                f"{off} of {len(pairs)} points are not on the torus", "project(z) puts them there"
            )
        generator = key.fold("conditional").generator()
        turn = generator.vonmises(0, self.matched_scale, pairs.shape[:2])
        cos, sin = np.cos(turn), np.sin(turn)
        x, y = pairs[..., 0], pairs[..., 1]
        return self.project(np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1).reshape(z.shape))

    def project(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Divide each pair by its norm, (n, d) -> (n, d); the origin, equally near to all, goes to angle 0."""
        pairs = self._pairs(z)
        # The larger entry is divided out first, or squares of a tiny or huge pair would vanish or overflow.
        peak = np.abs(pairs).max(axis=-1, keepdims=True)
        scaled = pairs / np.where(peak > 0, peak, 1)
        scaled[peak[..., 0] == 0] = (1, 0)
        on_torus: NDArray[np.float64] = scaled / np.linalg.norm(scaled, axis=-1, keepdims=True)
        return on_torus.reshape(len(pairs), self.dim)

    def head(self, d_in: int) -> torch.nn.Module:
        """Make a module (n, d_in) -> (n, d): a linear map where the widths differ, then each pair over its norm."""
        from lpcm_torus.head import TorusHead

        return TorusHead(d_in, self.dim)

    def _pairs(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        z = np.asarray(z, dtype=np.float64)
        if z.ndim != 2 or z.shape[1] != self.dim:
            raise DataError(f"points have shape {z.shape}: expected (n, {self.dim})")
        if not np.isfinite(z).all():
            raise DataError("points hold NaN or infinity: expected finite numbers")
        return z.reshape(len(z), self.dim // 2, 2)
