"""A geometry whose encoders are not confined to it: the same latents and loss, codes anywhere in R^d.

A head that lands in a box shows a network where the axes are, whatever the loss: the box's own corners break the
rotation. Without it only the loss is left to find them. Refuses to change how latents are drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lpcm.plugin.contracts import Geometry

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from lpcm.keys import Key


class Unconfined:
    """A space with a free head.

    Args:
        space: whose latents and similarity stay.
    """

    def __init__(self, space: Geometry) -> None:
        self._space = space
        self.dim = space.dim
        self.similarity = space.similarity
        self.p = float(getattr(space, "p", 2.0))
        self.identifies = space.identifies

    def sample_marginal(self, key: Key, n: int) -> NDArray[np.float64]:
        """As the space does."""
        return self._space.sample_marginal(key, n)

    def sample_conditional(self, key: Key, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """As the space does."""
        return self._space.sample_conditional(key, z)

    def project(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """As the space does."""
        return self._space.project(z)

    def head(self, d_in: int) -> torch.nn.Module:
        """Make a module (n, d_in) -> (n, d): a linear map where the widths differ, else nothing."""
        from lpcm.geometries.heads import FreeHead

        return FreeHead(d_in, self.dim)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._space, name)
