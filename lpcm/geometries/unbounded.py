"""All of R^d: the control that no theorem covers. Refuses a uniform marginal, which R^d does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lpcm.geometries.draws import free
from lpcm.geometries.laws import POWER_LAWS
from lpcm.geometries.similarities import Similarity
from lpcm.geometries.space import Space, draws_wanted
from lpcm.keys import Key

if TYPE_CHECKING:
    import torch


class Unbounded(Space):
    """R^d with independent coordinates of one law around 0, and partners around the latent.

    The theorems take p(z) to be uniform. Here it is not, so that what the loss learns is the conditional's log
    density minus the marginal's, which no distance to a power is: nothing is identified. A normal latent could not be
    anyway, since rotations leave it as it is.

    Args:
        dim: d, 1 or more.
        marginal: ``normal:s``, ``laplace:b`` or ``gennorm:s:p`` around 0.
        conditional: one of these around the latent.
        similarity: ``l1``, ``sqeuclidean``, ``lp:P`` or ``dot``; ``None`` for the one of the conditional.

    Attributes:
        similarity, p: ``"l1"``, 1 for ``laplace``; ``"sqeuclidean"``, 2 for ``normal``; ``"lp"`` for ``gennorm``.
        identifies: ``"nothing"``.

    Raises:
        UsageError: for a width below 1, and laws that R^d does not have.

    Source: the rows that violate arXiv 2402.06223, theorem 4.3; Zimmermann et al. 2021, arXiv 2102.08850, table 2.

    Example:
        >>> space = Unbounded(3)
        >>> space.sample_conditional(Key.of(1), space.sample_marginal(Key.of(0), 5)).shape
        (5, 3)
    """

    name = "space without bounds"
    marginals = POWER_LAWS
    conditionals = POWER_LAWS

    def __init__(
        self,
        dim: int,
        *,
        marginal: str = "normal:1",
        conditional: str = "normal:0.05",
        similarity: str | None = None,
    ) -> None:
        super().__init__(dim, marginal, conditional, similarity)

    def _identifies(self, similarity: Similarity) -> str:
        return "nothing"

    def sample_marginal(self, key: Key, n: int) -> NDArray[np.float64]:
        """Draw n points, (n, d)."""
        return free(key.fold("marginal").generator(), self.marginal, (draws_wanted(n), self.dim))

    def sample_conditional(self, key: Key, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Draw one partner of each row of z, (n, d) -> (n, d)."""
        z = self._points(z)
        return z + free(key.fold("conditional").generator(), self.conditional, z.shape)

    def project(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Every point is in the space: a copy, (n, d) -> (n, d)."""
        return self._points(z).copy()

    def head(self, d_in: int) -> torch.nn.Module:
        """Make a module (n, d_in) -> (n, d): a linear map where the widths differ, else nothing."""
        from lpcm.geometries.heads import FreeHead

        return FreeHead(d_in, self.dim)
