"""Matrix products of 16-bit operands into fp32, by cuBLAS through torch, with sums that are added to.

Refuses other dtypes. Away from a GPU the same products are taken in fp32, for tests.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

# Tensor cores round their running sum towards zero at every step of 16. Products with two parts an operand are meant to
# have the error of fp32, so their sums are handed over to ordinary fp32 after this many terms: 128 steps, an error of
# 128 x 2^-25 = 4e-6 at the very most.
EXACT_DEPTH = 2048

# Which part of one operand meets which of the other; small products first, see tiles.hpp.
PAIRS = {1: ((0, 0),), 2: ((0, 1), (1, 0), (0, 0))}


@functools.cache
def _adds_in_place(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this torch lets a product of 16-bit matrices be added to an fp32 one: releases before 2.10 refuse it.

    The refusal is a check of dtypes, made before anything is computed.
    """
    a, out = torch.zeros(16, 16, device=device, dtype=dtype), torch.zeros(16, 16, device=device)
    try:
        torch.addmm(out, a, a, out_dtype=torch.float32, out=out)
    except RuntimeError as error:
        if "dtype" not in str(error):
            raise
        return False
    return True


def multiply(out: Tensor, a: Tensor, b: Tensor, *, add: bool) -> None:
    """Set or add to `out` the product a b of (r, k) and (k, c) matrices of one 16-bit dtype; fp32."""
    if out.device.type != "cuda":
        product = a.float() @ b.float()
        out.copy_(out + product if add else product)
    elif not add:
        torch.mm(a, b, out_dtype=torch.float32, out=out)
    elif _adds_in_place(out.device, a.dtype):
        torch.addmm(out, a, b, out_dtype=torch.float32, out=out)
    else:
        out.add_(torch.mm(a, b, out_dtype=torch.float32))


def multiply_parts(out: Tensor, a: Tensor, b: Tensor, *, add: bool) -> None:
    """Set or add to `out` (sum of the parts of a) (sum of the parts of b), (parts, r, k) and (parts, k, c).

    One part an operand is one product; two parts are three products in slices of `EXACT_DEPTH`.
    """
    parts, _, depth = a.shape
    step = depth if parts == 1 else EXACT_DEPTH
    for first in range(0, depth, step):
        piece = slice(first, first + step)
        for i, j in PAIRS[parts]:
            multiply(out, a[i, :, piece], b[j, piece], add=add)
            add = True
