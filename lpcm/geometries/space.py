"""What the built-in geometries have in common: a width, two laws, a similarity. Refuses points that are none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError, UsageError
from lpcm.geometries.laws import Law, LawName, law_of
from lpcm.geometries.similarities import Similarity

if TYPE_CHECKING:
    import torch

    from lpcm.keys import Key

_OFF_SPACE = 1e-3  # a float32 unit vector of a few thousand entries is off by less than 1e-4


class Space:
    """Base of the built-in geometries; a plugin needs none.

    Args:
        dim: d, the width of a latent.
        marginal: text of the law of a latent.
        conditional: text of the law of its partner.
        similarity: ``dot``, ``l1``, ``sqeuclidean`` or ``lp:P``; ``None`` for the one that goes with the conditional.

    Attributes:
        marginal, conditional: the laws.
        similarity, p: what the contrastive loss uses, and its power.
        identifies: what a contrastive optimum recovers.

    Raises:
        UsageError: for a width, a law or a similarity that cannot be.
    """

    name: ClassVar[str]
    least_dim: ClassVar[int] = 1
    marginals: ClassVar[Sequence[LawName]]
    conditionals: ClassVar[Sequence[LawName]]

    def __init__(self, dim: int, marginal: str, conditional: str, similarity: str | None) -> None:
        if dim < self.least_dim:
            raise UsageError(
                f"a {self.name} of dimension {dim} was asked for: expected dim of {self.least_dim} or more"
            )
        self.dim = dim
        self.marginal: Law = law_of(self.name, "marginal", marginal, self.marginals)
        self.conditional: Law = law_of(self.name, "conditional", conditional, self.conditionals)
        chosen = Similarity.of(self.conditional) if similarity is None else Similarity.parse(similarity)
        self.similarity = chosen.name
        self.p = chosen.p
        self.identifies = self._identifies(chosen)

    def _identifies(self, similarity: Similarity) -> str:
        raise NotImplementedError

    @property
    def matched_scale(self) -> float | None:
        """The scale (inverse temperature) at which the loss's model is the conditional, on the latents themselves.

        ``None`` where it is at none: the similarity does not go with the law, or the law was bent by a projection.
        """
        goes = Similarity(self.similarity, self.p).goes_with(self.conditional)
        return self.conditional.matched_scale if goes else None

    def sample_marginal(self, key: Key, n: int) -> NDArray[np.float64]:
        """Draw n latents, (n, d)."""
        raise NotImplementedError

    def sample_conditional(self, key: Key, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Draw the partner of each row of z, (n, d) -> (n, d).

        Raises:
            DataError: when a row of z is not in the space.
        """
        raise NotImplementedError

    def project(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """The nearest point of the space to each row of z, (n, d) -> (n, d)."""
        raise NotImplementedError

    def head(self, d_in: int) -> torch.nn.Module:
        """Make a module (n, d_in) -> (n, d) that lands in the space."""
        raise NotImplementedError

    def _points(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Check that these are points of R^d."""
        z = np.asarray(z, dtype=np.float64)
        if z.ndim != 2 or z.shape[1] != self.dim:
            raise DataError(f"points have shape {z.shape}: expected (n, {self.dim})")
        if not np.isfinite(z).all():
            raise DataError("points hold NaN or infinity: expected finite numbers")
        return z

    def _in_space(self, off: NDArray[np.float64], where: str, size: float) -> None:
        """Refuse points that are further than rounding away.

        Args:
            off: (n,) distances from the space.
            where: where they should be, for the error.
            size: of the space, in whose units rounding is measured.
        """
        outside = int((off > _OFF_SPACE * size).sum())
        if outside:
            raise DataError(f"{outside} of {len(off)} points are not {where}", "project(z) puts them there")


def draws_wanted(n: int) -> int:
    """Check a number of draws: 0 or more."""
    if n < 0:
        raise UsageError(f"{n} draws were asked for: expected 0 or more")
    return n
