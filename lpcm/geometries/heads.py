"""Heads: torch modules that land in a geometry. They refuse to draw weights from the global generator."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from lpcm.errors import UsageError
from lpcm.geometries.extents import Extent
from lpcm.keys import Key


def entry(d_in: int, dim: int, name: str) -> nn.Module:
    """A linear map with orthogonal weights from a key of its own; the identity where the widths are equal."""
    if d_in < 1:
        raise UsageError(f"a head for inputs of width {d_in} was asked for: expected 1 or more")
    if d_in == dim:
        return nn.Identity()
    linear = nn.Linear(d_in, dim, device="meta").to_empty(device="cpu")  # draws nothing
    nn.init.orthogonal_(linear.weight, generator=Key.of(0).fold(name, d_in, dim).torch_generator())
    nn.init.zeros_(linear.bias)
    return linear


class FreeHead(nn.Module):
    """(n, d_in) -> (n, dim) anywhere: a linear map where the widths differ.

    Args:
        d_in: width of the input.
        dim: width of the output.
    """

    def __init__(self, d_in: int, dim: int) -> None:
        super().__init__()
        self.linear = entry(d_in, dim, "free-head")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, d_in) -> (n, dim)."""
        y: torch.Tensor = self.linear(x)
        return y


class SphereHead(nn.Module):
    """(n, d_in) -> (n, dim) rows of one norm: a linear map where the widths differ, then division by the norm.

    Args:
        d_in: width of the input.
        dim: width of the output.
        extent: whether the norm is learnt; it starts at 1.
    """

    def __init__(self, d_in: int, dim: int, extent: Extent = Extent.FIXED) -> None:
        super().__init__()
        self.linear = entry(d_in, dim, "sphere-head")
        self.log_radius = nn.Parameter(torch.zeros(())) if extent is Extent.LEARNED else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, d_in) -> (n, dim). The gradient is finite everywhere, the origin included."""
        unit = nn.functional.normalize(self.linear(x), dim=-1, eps=1e-6)
        return unit if self.log_radius is None else unit * self.log_radius.exp()


class BoxHead(nn.Module):
    """(n, d_in) -> (n, dim) in a box: a linear map where the widths differ, then lower + side * sigmoid.

    Learnt sides let an optimum keep distances although it swaps axes of different lengths, or turns the box; where
    the box begins does not matter to a loss of differences and stays.

    Args:
        d_in: width of the input.
        dim: width of the output.
        lower, upper: bounds of every coordinate, at the start.
        extent: whether each coordinate's side is learnt.
    """

    log_side: torch.Tensor

    def __init__(self, d_in: int, dim: int, lower: float, upper: float, extent: Extent) -> None:
        super().__init__()
        self.linear = entry(d_in, dim, "box-head")
        self.lower = lower
        log_side = torch.full((dim,), math.log(upper - lower))
        if extent is Extent.LEARNED:
            self.log_side = nn.Parameter(log_side)
        else:
            self.register_buffer("log_side", log_side)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, d_in) -> (n, dim)."""
        return self.lower + self.log_side.exp() * torch.sigmoid(self.linear(x))


class BallHead(nn.Module):
    """(n, d_in) -> (n, dim) in a ball: a linear map where the widths differ, then x / sqrt(1 + |x|^2).

    Smooth everywhere, and one to one.

    Args:
        d_in: width of the input.
        dim: width of the output.
        radius: of the ball, at the start.
        extent: whether the radius is learnt.
    """

    log_radius: torch.Tensor

    def __init__(self, d_in: int, dim: int, radius: float, extent: Extent) -> None:
        super().__init__()
        self.linear = entry(d_in, dim, "ball-head")
        log_radius = torch.tensor(math.log(radius))
        if extent is Extent.LEARNED:
            self.log_radius = nn.Parameter(log_radius)
        else:
            self.register_buffer("log_radius", log_radius)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, d_in) -> (n, dim)."""
        y = self.linear(x)
        inside: torch.Tensor = self.log_radius.exp() * y * torch.rsqrt(1 + y.square().sum(-1, keepdim=True))
        return inside


class ProductHead(nn.Module):
    """(n, d_in) -> (n, dim): one linear map where the widths differ, whose columns each factor's head then places.

    Args:
        d_in: width of the input.
        heads: those of the factors, each from its width to its width.
        dims: widths of the factors.
    """

    def __init__(self, d_in: int, heads: Sequence[nn.Module], dims: Sequence[int]) -> None:
        super().__init__()
        self.linear = entry(d_in, sum(dims), "product-head")
        self.heads = nn.ModuleList(heads)
        self.dims = tuple(dims)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, d_in) -> (n, dim)."""
        columns = self.linear(x).split(self.dims, dim=-1)
        return torch.cat([head(part) for head, part in zip(self.heads, columns, strict=True)], dim=-1)
