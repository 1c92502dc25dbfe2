"""Encoders of the lab: a whitened input, an MLP and a geometry's head. Refuse to draw from a global generator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lpcm.errors import DataError
from lpcm.keys import Key

FIT_ENTRY = 8192
"""Observations that a whitening is fitted on: hundreds a direction."""


class Activation(str, Enum):
    """What stands between linear maps."""

    GENTLE = "gentle"  # leaky ReLU of slope 0.2, that of the mixings
    LEAKY = "leaky"  # leaky ReLU of slope 0.01, as in Zimmermann et al. 2021
    GELU = "gelu"


@dataclass(frozen=True)
class Shape:
    """Size of an MLP.

    Args:
        widths: of the hidden layers.
        activation: after each of them.
    """

    widths: tuple[int, ...]
    activation: Activation = Activation.LEAKY


class Whitening(nn.Module):
    """(n, d) -> (n, d) of mean 0 and identity covariance on the rows that it was made from.

    A well-conditioned input is most of what makes the lab fast. It is fitted on observations alone.

    Args:
        rows: (n, d) observations; more rows than columns, and none constant.

    Raises:
        DataError: when the covariance cannot be inverted.
    """

    mean: torch.Tensor
    map: torch.Tensor

    def __init__(self, rows: NDArray[np.floating]) -> None:
        super().__init__()
        covariance = np.atleast_2d(np.cov(rows, rowvar=False, dtype=np.float64))
        values, vectors = np.linalg.eigh(covariance)
        if not values[0] > 1e-10 * values[-1]:
            raise DataError(
                f"observations span {int((values > 1e-10 * values[-1]).sum())} of {len(values)} directions: "
                "expected a mixing that loses none"
            )
        whitening = (vectors / np.sqrt(values)) @ vectors.T
        self.register_buffer("mean", torch.from_numpy(rows.mean(0, dtype=np.float64)).float())
        self.register_buffer("map", torch.from_numpy(whitening).float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, d) -> (n, d)."""
        return (x - self.mean) @ self.map


class Encoder(nn.Module):
    """x -> head(MLP(whitened x)), (n, d + m) -> (n, k).

    Args:
        entry: what the input passes first.
        d_in: width of the input.
        codes: k, width that the MLP ends with.
        shape: of the MLP.
        head: lands in the geometry.
        key: of the weights.
    """

    def __init__(
        self, entry: nn.Module, d_in: int, codes: int, shape: Shape, head: nn.Module, key: Key
    ) -> None:
        super().__init__()
        self.entry = entry
        generator = key.torch_generator()
        widths = (d_in, *shape.widths)
        self.hidden = nn.ModuleList(_linear(a, b, generator) for a, b in pairwise(widths))
        self.out = _linear(widths[-1], codes, generator)
        self.activation = nn.LeakyReLU(0.2) if shape.activation is Activation.GENTLE else nn.LeakyReLU(0.01)
        self.head = head

    def matrices(self) -> list[torch.Tensor]:
        """Weights of the hidden layers."""
        return [layer.weight for layer in self.hidden if isinstance(layer, nn.Linear)]

    def trunk(self, x: torch.Tensor) -> torch.Tensor:
        """All but the head, (n, d + m) -> (n, k) float32."""
        x = self.entry(x)
        for layer in self.hidden:
            x = self.activation(layer(x))
        y: torch.Tensor = self.out(x)
        return y.float()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, d + m) -> (n, k)."""
        y: torch.Tensor = self.head(self.trunk(x))
        return y

    @torch.no_grad()
    def turn(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """Put y -> y weight^T + bias between MLP and head, as part of the MLP's last layer."""
        self.out.bias.copy_(weight @ self.out.bias + bias)
        self.out.weight.copy_(weight @ self.out.weight)

    @torch.no_grad()
    def encode(self, x: NDArray[np.float32], rows: int = 4096) -> NDArray[np.float64]:
        """Codes of observations, (n, d + m) -> (n, k), a few rows at a time and in full precision."""
        parts = [self(torch.from_numpy(x[i : i + rows])).double().numpy() for i in range(0, len(x), rows)]
        return np.concatenate(parts)


def _linear(d_in: int, d_out: int, generator: torch.Generator) -> nn.Linear:
    """A linear map with He's normal weights for a leaky ReLU and no bias yet."""
    linear = nn.Linear(d_in, d_out, device="meta").to_empty(device="cpu")  # draws nothing
    nn.init.normal_(linear.weight, std=math.sqrt(2 / d_in), generator=generator)
    nn.init.zeros_(linear.bias)
    return linear
