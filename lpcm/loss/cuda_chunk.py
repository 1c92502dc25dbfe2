"""A chunk of rows of the matrix of similarities: the features that make it, and which of its elements count.

Refuses to compute sums or weights: cuda_plain.py and cuda_weights.py do.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from lpcm.loss.cuda_request import Request


@dataclass(frozen=True)
class Operands:
    """Features as they are multiplied, and as they are added to; for squared distances moved to the mean of y.

    `weight_scale`: what 16-bit weights are multiplied by; float16 needs it, see formats.hpp.
    """

    x: Tensor
    y: Tensor
    x_square: Tensor | None
    y_square: Tensor | None
    accumulator: torch.dtype
    weight_scale: float


def operands(r: Request) -> Operands:
    """The features of `r` in the dtype of its products."""
    products = r.similarity in ("dot", "sqeuclidean")
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(r.arithmetic) if products else None
    if half == torch.float16 and {r.x.dtype, r.other.dtype} != {torch.float16}:
        half = None  # features of unknown range: tf32 is torch's way of products like these
    accumulator = torch.float64 if r.arithmetic == "float64" else torch.float32
    x, y = r.x.to(accumulator), r.other.to(accumulator)
    x_square = y_square = None
    if r.similarity == "sqeuclidean":
        centre = torch.nan_to_num(r.other.mean(0, dtype=torch.float64), nan=0.0, posinf=0.0, neginf=0.0)
        x, y = ((t.double() - centre).to(half or accumulator) for t in (x, y))
        x_square, y_square = (t.to(accumulator).square().sum(1) for t in (x, y))
    dtype = half or accumulator
    scale = 16384.0 if half == torch.float16 else 1.0
    return Operands(x.to(dtype), y.to(dtype), x_square, y_square, accumulator, scale)


def stream_of(t: Tensor) -> int:
    """The current stream of a tensor's device, as a number; zero away from a GPU."""
    return torch.cuda.current_stream(t.device).cuda_stream if t.is_cuda else 0


def left_out(r: Request, first: int, rows: int) -> Tensor:
    """Which elements of a chunk belong to no sum: the positives, and a row's similarity to itself."""
    device, m = r.x.device, r.other.shape[0]
    index = torch.arange(first, first + rows, device=device)
    column = torch.arange(m, device=device)
    labels = index + r.offset if r.labels is None else r.labels[first : first + rows]
    mask = column == labels[:, None]
    return mask | (column == index[:, None]) if r.y is None else mask


def logits_of(r: Request, s: Tensor) -> Tensor:
    """Logits scale * s + bias, in the dtype of `s`."""
    logits = s * r.scale.to(s.dtype)
    return logits if r.bias is None else logits.add_(r.bias.to(s.dtype))


def chunk_of(kernels: ModuleType, r: Request, s: Tensor, first: int) -> object:
    """What our kernels are told about a chunk."""
    return kernels.Chunk(
        similarities=s.data_ptr(),
        range=(first, *s.shape),
        labels=0 if r.labels is None else r.labels.data_ptr(),
        offset=r.offset,
        within=r.y is None,
        scale=(r.scale.data_ptr(), str(r.scale.dtype).removeprefix("torch.")),
        bias=None if r.bias is None else (r.bias.data_ptr(), str(r.bias.dtype).removeprefix("torch.")),
        objective=r.objective,
    )
