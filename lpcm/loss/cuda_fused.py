"""The fused loss on a GPU: which buffers exist, and the order of our kernels and cuBLAS's products.

A pass over tiles gives the sums of exp over rows and columns. The gradient takes the matrix in chunks: a second pass
forms a chunk of its weights w_ij = d loss / d s_ij in 16 bits in a workspace, and two ordinary products multiply them
with the features, w Y and w^T X. That is 8 n m d operations in all (notes in docs/decisions/0004-cuda.md).

Refuses to wait for the device: no value of a tensor is read, and every buffer comes from torch's caching allocator, so
that calls can be captured in a CUDA graph. The workspace is bounded by `workspace`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from lpcm.loss.cuda_products import multiply_parts
from lpcm.loss.cuda_request import Request

# Chunks of 16,384 x 16,384 weights of 16 bits: products large enough for cuBLAS to run at full speed.
DEFAULT_WORKSPACE = 512 << 20
# The forward pass writes one number for every row and tile column, and the other way round; it goes band by band.
_PARTIALS = 256 << 20
_TILE = 128

_workspace: ContextVar[int] = ContextVar("lpcm_cuda_workspace", default=DEFAULT_WORKSPACE)


@contextmanager
def workspace(nbytes: int) -> Iterator[None]:
    """Let gradients use about `nbytes` of memory for weights, at least one tile, for the calls within.

    More memory means fewer, larger products; the result stays the same up to the rounding of sums.

    Example:
        >>> with workspace(2 << 30):
        ...     pass  # loss.backward()
    """
    if not isinstance(nbytes, int) or isinstance(nbytes, bool) or nbytes < 1:
        raise ValueError(f"workspace({nbytes!r}): expected a positive number of bytes")
    token = _workspace.set(nbytes)
    try:
        yield
    finally:
        _workspace.reset(token)


def _round_up(value: int, step: int) -> int:
    return (value + step - 1) // step * step


def _even(count: int, most: int) -> int:
    """The length of equal pieces of `count`, whole tiles of at most `most`."""
    pieces = -(-count // max(_TILE, most))
    return min(_round_up(-(-count // pieces), _TILE), max(_TILE, most // _TILE * _TILE))


def chunk_shape(n: int, m: int, planes: int, nbytes: int) -> tuple[int, int]:
    """Rows and columns of a chunk of weights, whole tiles, for a workspace of `nbytes`; nearly square.

    Sums are read and written once a chunk: x's for every chunk of columns, y's for every chunk of rows.
    """
    elements = max(_TILE * _TILE, nbytes // (2 * planes))
    side = max(_TILE, math.isqrt(elements) // _TILE * _TILE)
    columns = _even(m, max(side, elements // _round_up(n, _TILE)))
    return _even(n, max(_TILE, elements // columns)), columns


def band_rows(n: int, m: int, tile_columns: int) -> int:
    """Rows of one launch of the forward pass, whole tiles."""
    a_row = 4 * m * (1 / tile_columns + 1 / _TILE)
    return _even(n, max(_TILE, int(_PARTIALS / a_row)))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _matrix(t: Tensor) -> tuple[int, str, int, int, int, int]:
    return (t.data_ptr(), _name(t.dtype), t.shape[0], t.shape[1], t.stride(0), t.stride(1))


def _address(t: Tensor | None) -> int:
    return 0 if t is None or t.numel() == 0 else t.data_ptr()


@dataclass(frozen=True)
class _Prepared:
    """A call of the kernels and the tensors that it points to."""

    call: Any
    planes: int
    tile_columns: int
    packed_x: Tensor  # (planes, n, width)
    packed_y: Tensor
    kept: tuple[Tensor | None, ...]


def _prepare(kernels: ModuleType, r: Request) -> _Prepared:
    labels = None if r.labels is None else r.labels.contiguous()
    centre = None
    if r.similarity == "sqeuclidean":  # distances do not change when both sides move, and their digits gain
        centre = torch.nan_to_num(r.other.mean(0, dtype=torch.float64), nan=0.0, posinf=0.0, neginf=0.0)
    stream = torch.cuda.current_stream(r.x.device).cuda_stream if r.x.is_cuda else 0
    call = kernels.Call(
        x=_matrix(r.x),
        y=None if r.y is None else _matrix(r.y),
        scale=(r.scale.data_ptr(), _name(r.scale.dtype)),
        bias=None if r.bias is None else (r.bias.data_ptr(), _name(r.bias.dtype)),
        labels=_address(labels),
        offset=r.offset,
        objective=r.objective,
        directions=r.directions,
        similarity=r.similarity,
        arithmetic=r.arithmetic if r.instruction == "mma" else f"{r.arithmetic}-{r.instruction}",
        centre=_address(centre),
        stream=stream,
    )
    layout = call.layout
    planes, dtype = layout["planes"], getattr(torch, layout["dtype"])
    packed_x = r.x.new_empty((planes, r.x.shape[0], layout["width"]), dtype=dtype)
    packed_y = (
        packed_x if r.y is None else r.x.new_empty((planes, r.y.shape[0], layout["width"]), dtype=dtype)
    )
    call.pack_into(packed_x.data_ptr(), packed_y.data_ptr())
    return _Prepared(call, planes, layout["tile_columns"], packed_x, packed_y, (labels, centre))


def statistics(kernels: ModuleType, r: Request, out: tuple[Tensor, Tensor, Tensor]) -> None:
    """Write `reference.statistics` of `r` to three float64 tensors."""
    p = _prepare(kernels, r)
    band = band_rows(r.x.shape[0], r.other.shape[0], p.tile_columns)
    space = r.x.new_empty(kernels.forward_bytes(p.call, band), dtype=torch.uint8)
    kernels.forward(p.call, band, space.data_ptr(), [_address(t) for t in out])


def _inverse(r: Request, needed: bool) -> tuple[Tensor | None, Tensor | None]:
    """Rows by the column of their positive: where each column's begin, and the rows in that order."""
    if r.labels is None or not needed:
        return None, None
    order = torch.argsort(r.labels, stable=True)
    columns = torch.arange(r.other.shape[0] + 1, device=r.x.device)
    return torch.searchsorted(r.labels[order], columns), order


def gradients(
    kernels: ModuleType,
    r: Request,
    saved: tuple[Tensor, Tensor, Tensor],
    weights: tuple[Tensor, Tensor, Tensor],
    wanted: list[bool],
    out: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    """Write the gradients of x, y, scale and bias to `out`, where `wanted`, for weights of the three statistics.

    `saved` and `weights` are contiguous float64 tensors.
    """
    p = _prepare(kernels, r)
    within = r.y is None
    n, m = r.x.shape[0], r.other.shape[0]
    x_wanted, y_wanted = wanted[0], wanted[1] and not within
    chunk = chunk_shape(n, m, p.planes, _workspace.get())
    common = {"call": p.call, "chunk": chunk, "wanted": wanted}
    space = r.x.new_empty(kernels.gradient_bytes(**common), dtype=torch.uint8)
    common["workspace"] = space.data_ptr()
    kernels.begin_gradient(
        **common, saved=[_address(t) for t in saved], weights=[_address(t) for t in weights]
    )

    products = x_wanted or y_wanted
    chunk_weights = p.packed_x.new_empty((p.planes, *chunk)) if products else None
    start, order = _inverse(r, y_wanted or (within and x_wanted))
    width = p.packed_x.shape[2]
    y_sums = r.x.new_zeros((m, width), dtype=torch.float32) if y_wanted or (within and x_wanted) else None
    x_sums = r.x.new_empty((chunk[0], width), dtype=torch.float32) if x_wanted and not within else None

    def finish(is_x: bool, first: int, rows: int, sums: Tensor, gradient: Tensor) -> None:
        kernels.finish_rows(
            **common,
            is_x=is_x,
            rows=(first, rows),
            sums=sums.data_ptr(),
            positive_weights=weights[2].data_ptr(),
            inverse=(_address(start), _address(order)),
            out=(gradient.data_ptr(), _name(gradient.dtype)),
        )

    work = products or wanted[2] or wanted[3]
    for row in range(0, n if work else 0, chunk[0]):
        rows = min(chunk[0], n - row)
        first = row // _TILE * _TILE if within else 0  # pairs within x: nothing counts left of the diagonal
        for column in range(first, m, chunk[1]):
            columns = min(chunk[1], m - column)
            kernels.weigh(
                **common, range=(row, rows, column, columns), triangle=within, weights=_address(chunk_weights)
            )
            if chunk_weights is None:
                continue
            w = chunk_weights[:, :rows, :columns]
            if x_sums is not None:
                multiply_parts(x_sums[:rows], w, p.packed_y[:, column : column + columns], add=column > first)
            if y_sums is not None:
                if within:
                    multiply_parts(
                        y_sums[row : row + rows], w, p.packed_x[:, column : column + columns], add=True
                    )
                multiply_parts(
                    y_sums[column : column + columns], w.mT, p.packed_x[:, row : row + rows], add=True
                )
        if x_sums is not None:
            finish(True, row, rows, x_sums, out[0])
    if y_sums is not None:
        finish(within, 0, m, y_sums, out[0] if within else out[1])
    if wanted[2] or wanted[3]:
        scalars = r.x.new_zeros(2, dtype=torch.float64)
        kernels.finish_scalars(
            **common,
            positive_weights=weights[2].data_ptr(),
            scale=scalars[0].data_ptr(),
            bias=scalars[1].data_ptr(),
        )
        for i in (2, 3):
            if wanted[i]:
                out[i].copy_(scalars[i - 2])
