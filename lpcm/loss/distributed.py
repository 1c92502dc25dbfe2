"""Features of all ranks, gathered for a loss over the global batch.

Refuses uneven batches: every rank must hold the same number of rows. Works over any torch.distributed backend.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


class _Gather(torch.autograd.Function):
    """All ranks' rows; backward sums what every rank says about ours."""

    @staticmethod
    def forward(ctx, local: Tensor, rank: int, world_size: int) -> Tensor:  # type: ignore[no-untyped-def]
        parts = [torch.empty_like(local) for _ in range(world_size)]
        dist.all_gather(parts, local.contiguous())
        ctx.rank, ctx.rows = rank, local.shape[0]
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[no-untyped-def]
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total[ctx.rank * ctx.rows : (ctx.rank + 1) * ctx.rows], None, None


def gather(
    local: Tensor, rank: int, world_size: int, *, with_gradient: bool, keep_own_gradient: bool
) -> Tensor:
    """All ranks' rows, (world_size * n, d), in the order of ranks.

    `with_gradient`: gradients flow back to every rank. Otherwise other ranks' rows are constants, and our own carry a
    gradient only when `keep_own_gradient` is set.
    """
    if not (dist.is_available() and dist.is_initialized()):
        raise RuntimeError(
            f"world_size is {world_size}, but torch.distributed is not initialised: call init_process_group"
        )
    if with_gradient:
        gathered: Tensor = _Gather.apply(local, rank, world_size)
        return gathered
    parts = [torch.empty_like(local) for _ in range(world_size)]
    with torch.no_grad():
        dist.all_gather(parts, local.contiguous())
    if keep_own_gradient:
        parts[rank] = local
    return torch.cat(parts)
