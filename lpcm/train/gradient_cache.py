"""Encoding a large batch with a gradient in the memory of a small one: chunks without graph, encoded again for it.

The loss needs the features of the whole batch at once; the graph of a tower does not. Each chunk is encoded without a
graph, the loss gives the gradient at the features, and each chunk is encoded once more to carry that gradient to the
weights: memory of one chunk, time of one more forward pass, the same gradient. Refuses modules in training mode whose
answer for a row depends on its batch (batch normalisation): chunks would see other statistics.

Source: Gao et al. 2021, "Scaling deep contrastive learning batch size under memory limited setup" (GradCache),
arXiv 2101.06983, section 3. The second encoding is ``torch.utils.checkpoint``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from lpcm.errors import UsageError


class GradientCached(nn.Module):
    """A tower that encodes in chunks and forgets their graphs until the backward pass.

    Args:
        tower: (b, ...) inputs -> (b, d) features; a module, or a function of one whose weights require a gradient.
        chunk: rows whose graph is in memory at once, 1 or more.

    Raises:
        UsageError: for a chunk below 1, or batch normalisation in training mode.

    Example:
        >>> tower = GradientCached(nn.Linear(3, 2), chunk=4)
        >>> tower(torch.ones(10, 3)).shape
        torch.Size([10, 2])
    """

    def __init__(self, tower: nn.Module | Callable[[torch.Tensor], torch.Tensor], chunk: int) -> None:
        super().__init__()
        if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
            raise UsageError(f"chunk is {chunk!r}: expected a whole number of 1 or more")
        self.tower = tower
        self.chunk = chunk

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(b, ...) -> (b, d); differentiable in the tower's weights, once."""
        _refuse_batch_statistics(self.tower)
        if len(inputs) <= self.chunk:  # its graph is that of one chunk anyway
            whole: torch.Tensor = self.tower(inputs)
            return whole
        parts: list[torch.Tensor] = [
            # Random layers draw the same again: their states are kept with the chunk.
            checkpoint(self.tower, part, use_reentrant=False)
            for part in torch.split(inputs, self.chunk)
        ]
        return torch.cat(parts)


def _refuse_batch_statistics(tower: object) -> None:
    if not isinstance(tower, nn.Module):
        return
    for name, module in tower.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training:
            raise UsageError(
                f"layer {name!r} normalises over its batch, so that chunks would change the features",
                "put it in evaluation mode: tower.eval()",
            )
