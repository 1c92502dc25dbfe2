"""The unit ball as a latent space. Randomness comes from the key alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from lpcm.errors import UsageError
from lpcm.keys import Key
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


class Ball:
    """Points of Euclidean norm at most 1 in `dim` dimensions.

    Args:
        dim: width d of a latent vector.
        sigma: spread of a partner around its latent, above 0.

    Raises:
        UsageError: when a setting makes no sense.
    """

    similarity = "sqeuclidean"
    # No theorem says what a contrastive optimum recovers here: be honest, lpcm prints it.
    identifies = "nothing"

    def __init__(self, dim: int, *, sigma: float = 0.2) -> None:
        if dim < 1 or not sigma > 0:
            raise UsageError(
                f"dim is {dim}, sigma {sigma}: expected dim of 1 or more and sigma above 0"
            )
        self.dim = dim
        self.sigma = sigma

    def sample_marginal(self, key: Key, n: int) -> NDArray[np.float64]:
        """Draw n points evenly over the ball: a direction, and a radius whose d-th power is uniform."""
        generator = key.fold("marginal").generator()
        direction = generator.standard_normal((n, self.dim))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        return direction * generator.random((n, 1)) ** (1 / self.dim)

    def sample_conditional(
        self, key: Key, z: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Draw a partner of each row: a Gaussian around it, drawn again until it falls into the ball."""
        generator = key.fold("conditional").generator()
        partners = np.full_like(z, np.inf)
        outside = np.arange(len(z))
        while len(outside):
            partners[outside] = z[outside] + self.sigma * generator.standard_normal(
                (len(outside), self.dim)
            )
            outside = outside[np.linalg.norm(partners[outside], axis=1) > 1]
        return partners

    def project(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pull points outside back to the surface."""
        return z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1)

    def head(self, d_in: int) -> torch.nn.Module:
        """A linear map and a squashing x / sqrt(1 + |x|^2): smooth everywhere, never outside."""
        import torch

        class Head(torch.nn.Module):
            def __init__(self, d_out: int) -> None:
                super().__init__()
                self.linear = torch.nn.Linear(d_in, d_out)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                x = self.linear(x)
                return x / torch.sqrt(1 + x.square().sum(dim=1, keepdim=True))

        return Head(self.dim)
