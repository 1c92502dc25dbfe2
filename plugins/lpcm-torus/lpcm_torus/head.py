"""The head: a torch module that lands on the torus. Refuses to draw weights from the global generator."""

from __future__ import annotations

import torch
from torch import nn

from lpcm.keys import Key


class TorusHead(nn.Module):
    """(n, d_in) -> (n, dim): a linear map where the widths differ, then each pair is divided by its norm.

    Args:
        d_in: width of the input.
        dim: width of the output, even.
    """

    def __init__(self, d_in: int, dim: int) -> None:
        super().__init__()
        self.linear: nn.Module = nn.Identity()
        if d_in != dim:
            linear = nn.Linear(d_in, dim, device="meta").to_empty(device="cpu")  # draws nothing
            key = Key.of(0).fold("torus-head", d_in, dim)
            nn.init.orthogonal_(linear.weight, generator=key.torch_generator())
            nn.init.zeros_(linear.bias)
            self.linear = linear

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, d_in) -> (n, dim). The gradient is finite everywhere, the origin included."""
        pairs = self.linear(x).unflatten(-1, (-1, 2))
        return nn.functional.normalize(pairs, dim=-1, eps=1e-6).flatten(-2)
