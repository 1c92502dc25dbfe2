"""Trainable heads on frozen features, and the pair that they make. Refuses to draw from the global generator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lpcm.keys import Key
from lpcm.plugin.contracts import Geometry
from lpcm.train.recipe import HeadKind

DOT_TEMPERATURE, DISTANCE_TEMPERATURE = 0.07, 1.0
"""At the start: CLIP's, and one at which distances in a box of a few hundred dimensions tell rows apart."""

_SMALLEST = 1e-6  # a feature that never moves is left at zero rather than blown up


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a head, as its checkpoint keeps them.

    Args:
        kind: which head.
        width: d of the tower's features.
        hidden: width of the inner layer.
        dim: width of the common space.
    """

    kind: HeadKind
    width: int
    hidden: int
    dim: int


class Head(nn.Module):
    """(n, width) features of a tower -> (n, dim) in the geometry's space.

    The map reads features with the mean and the deviations of the training rows taken out; the residual head's
    identity does not, so that it starts as the tower itself.

    Args:
        shape: sizes.
        space: the geometry's own head, (n, dim) -> (n, dim).
        key: of the weights.

    Source: He et al., arXiv 1512.03385 (residual); the last layer that starts at zero: Zhang et al., arXiv 1901.09321.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, shape: Shape, space: nn.Module, key: Key) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("mean", torch.zeros(shape.width))
        self.register_buffer("deviation", torch.ones(shape.width))
        generator = key.torch_generator()
        plain = shape.kind in (HeadKind.LINEAR, HeadKind.RESIDUAL) and shape.width != shape.dim
        plain = (
            plain
            or shape.kind is HeadKind.LINEAR
            or (shape.kind is HeadKind.NONE and shape.width != shape.dim)
        )
        self.linear = _linear(shape.width, shape.dim, generator) if plain else None
        deep = shape.kind in (HeadKind.MLP, HeadKind.RESIDUAL)
        self.inner = _linear(shape.width, shape.hidden, generator) if deep else None
        self.outer = _linear(shape.hidden, shape.dim, generator) if deep else None
        if shape.kind is HeadKind.RESIDUAL and self.outer is not None:
            nn.init.zeros_(self.outer.weight)
        self.space = space
        if shape.kind is HeadKind.NONE:
            self.requires_grad_(False)

    def standardise(self, features: NDArray[np.float32]) -> None:
        """Take mean and deviations from the training rows, (n, width)."""
        rows = features.astype(np.float64)
        self.mean.copy_(torch.from_numpy(rows.mean(axis=0)))
        self.deviation.copy_(torch.from_numpy(np.maximum(rows.std(axis=0), _SMALLEST)))

    def forward(self, x: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        """(n, width) -> (n, dim); ``noise`` of the same shape is added in units of the deviations."""
        z = (x - self.mean) / self.deviation
        if noise is not None:
            z = z + noise
        total: torch.Tensor | None = None if self.linear is None else self.linear(z)
        if self.linear is None and self.shape.kind in (HeadKind.RESIDUAL, HeadKind.NONE):
            total = x
        if self.inner is not None and self.outer is not None:
            bent = self.outer(nn.functional.gelu(self.inner(z)))
            total = bent if total is None else total + bent
        assert total is not None  # each kind has a linear map, the identity or an inner layer
        placed: torch.Tensor = self.space(total.float())  # half precision ends with the products
        return placed


class Pair(nn.Module):
    """Heads of both towers and the temperature.

    Args:
        images, texts: the heads.
        similarity: of the loss: ``dot``, ``l1``, ``sqeuclidean`` or ``lp``.
        power: of ``lp``.
        temperature: at the start; ``None`` for the usual one of the similarity.
        max_scale: bound of 1 / temperature.

    Attributes:
        towers: those that learn with the heads, by ``image`` and ``text``; frozen ones are not here.
    """

    def __init__(
        self,
        images: Head,
        texts: Head,
        similarity: str,
        power: float,
        temperature: float | None,
        max_scale: float,
    ) -> None:
        super().__init__()
        self.images = images
        self.texts = texts
        self.towers = nn.ModuleDict()
        self.similarity: Any = similarity
        self.power = power
        usual = DOT_TEMPERATURE if similarity == "dot" else DISTANCE_TEMPERATURE
        scale = min(1 / (usual if temperature is None else temperature), max_scale)
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self._bound = math.log(max_scale)

    @property
    def scale(self) -> torch.Tensor:
        """1 / temperature, 0-d, differentiable."""
        return self.log_scale.exp()

    @torch.no_grad()
    def clamp(self) -> bool:
        """Hold the scale at its bound; whether it would have gone beyond it."""
        beyond = bool(self.log_scale > self._bound)
        self.log_scale.clamp_(max=self._bound)
        return beyond


def make_pair(
    image: Shape, text: Shape, geometry: Geometry, temperature: float | None, max_scale: float, key: Key
) -> Pair:
    """The pair with fresh weights from a key.

    Args:
        image: sizes of the images' head.
        text: sizes of the texts' head, of the same ``dim``.
        geometry: of that dimension; both heads land in it.
        temperature: at the start; ``None`` for the usual one.
        max_scale: bound of 1 / temperature.
        key: of the weights.
    """
    heads = [
        Head(shape, geometry.head(shape.dim), key.fold("weights", side))
        for side, shape in (("image", image), ("text", text))
    ]
    power = float(getattr(geometry, "p", 2.0))
    return Pair(heads[0], heads[1], geometry.similarity, power, temperature, max_scale)


def _linear(d_in: int, d_out: int, generator: torch.Generator) -> nn.Linear:
    """A layer with weights of deviation 1 / sqrt(d_in), LeCun's, from a generator of our own; biases at zero."""
    layer = nn.Linear(d_in, d_out, device="meta").to_empty(device="cpu")  # draws nothing
    nn.init.normal_(layer.weight, std=d_in**-0.5, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer
