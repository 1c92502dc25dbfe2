"""The gradient's weights of the plain path, chunk by chunk, and what follows from them.

w_ij = d loss / d s_ij = g_i exp(s_ij - rows_i) + h_j exp(s_ij - columns_j), or g_i sigmoid(s_ij). The positives enter
at the end, from the caller's own numbers. Refuses to wait for the device.
"""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor

from lpcm.loss.cuda_chunk import Operands, chunk_of, left_out, logits_of, stream_of
from lpcm.loss.cuda_request import Request
from lpcm.loss.reference import similarity_pairs

# Elements of a block of differences x_i - y_j.
_DIFFERENCES = 1 << 22
_LOG2_E = 1.4426950408889634


class Normalised(NamedTuple):
    """Weights of the statistics over the largest of them, `unit`; and the statistics, infinite where nothing counts.

    `h` and `columns` are None for one direction.
    """

    g: Tensor
    h: Tensor | None
    rows: Tensor
    columns: Tensor | None
    unit: Tensor


def normalised(r: Request, saved: tuple[Tensor, ...], weights: tuple[Tensor, ...]) -> Normalised:
    """`Normalised` of the two statistics, float64."""

    def size(t: Tensor) -> Tensor:
        return torch.where(t.isfinite(), t.abs(), 0.0).amax()

    def clean(weight: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
        if r.objective == "sigmoid":
            return weight / unit, rest
        none = torch.isneginf(rest)
        return (weight / unit).masked_fill(none, 0.0), rest.masked_fill(none, torch.inf)

    unit = size(weights[0])
    if r.both:
        unit = torch.maximum(unit, size(weights[1]))
    unit = torch.where(unit > 0, unit, 1.0)
    g, rows = clean(weights[0], saved[0])
    h, columns = clean(weights[1], saved[1]) if r.both else (None, None)
    return Normalised(g, h, rows, columns, unit)


def chunk_weights(
    kernels: ModuleType | None, r: Request, o: Operands, norm: Normalised, s: Tensor, first: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The weights of a chunk of similarities in the dtype of its products, times `o.weight_scale`.

    Also their sum over each row, of what will be multiplied, and the sum of w s; float64.
    """
    if kernels is not None:
        return _by_kernel(kernels, r, o, norm, s, first)
    part = slice(first, first + len(s))
    logits, dtype = logits_of(r, s), s.dtype
    g = norm.g[part, None].to(dtype)
    if r.objective == "sigmoid":
        w = g * logits.sigmoid()
    else:
        w = g * torch.exp(logits - norm.rows[part, None].to(dtype))
        if norm.h is not None and norm.columns is not None:
            w += norm.h.to(dtype) * torch.exp(logits - norm.columns.to(dtype))
    w.masked_fill_(left_out(r, first, len(s)), 0.0)
    products = (w * s).masked_fill_(w == 0, 0.0).sum(dtype=torch.float64)
    w = (w * o.weight_scale).to(o.x.dtype)
    return w, w.sum(1, dtype=torch.float64) / o.weight_scale, products


def _by_kernel(
    kernels: ModuleType, r: Request, o: Operands, norm: Normalised, s: Tensor, first: int
) -> tuple[Tensor, Tensor, Tensor]:
    def base2(rest: Tensor) -> Tensor:
        return torch.where(rest == torch.inf, 1e30, rest * _LOG2_E).float()

    coefficients = [norm.g.float(), None, base2(norm.rows), None]
    if norm.h is not None and norm.columns is not None:
        coefficients[1], coefficients[3] = norm.h.float(), base2(norm.columns)
    w = s.new_empty(s.shape, dtype=o.x.dtype)
    row_weight, row_product = s.new_empty((2, 4 * -(-s.shape[1] // 128), len(s)))
    kernels.plain_weigh(
        chunk_of(kernels, r, s, first),
        coefficients=[0 if t is None else t.data_ptr() for t in coefficients],
        dtype=str(w.dtype).removeprefix("torch."),
        factor=o.weight_scale,
        out=[w.data_ptr(), row_weight.data_ptr(), row_product.data_ptr()],
        stream=stream_of(s),
    )
    rows = (
        w.sum(1, dtype=torch.float64) / o.weight_scale
        if r.similarity == "sqeuclidean"
        else row_weight.sum(0, dtype=torch.float64)
    )
    return w, rows, row_product.sum(dtype=torch.float64)


def _slope(t: Tensor, r: Request) -> Tensor:
    """Derivative of |t|^p, zero at zero."""
    if r.similarity == "l1":
        return t.sign()
    return t.sign() * r.power * t.abs().pow(r.power - 1)


def distance_gradient(
    kernels: ModuleType | None, r: Request, out: Tensor, w: Tensor, own: Tensor, other: Tensor, *, add: bool
) -> None:
    """Set or add to out_i the sum over j of w_ij d sim(own_i, other_j) / d own_i, similarities 'l1' and 'lp'."""
    if kernels is None:
        if not add:
            out.zero_()
        step = max(1, _DIFFERENCES // max(1, other.numel()))
        for first in range(0, len(own), step):
            part = slice(first, first + step)
            slopes = _slope(own[part, None] - other, r)
            out[part] -= torch.einsum("ij,ijk->ik", w[part], slopes)
        return
    own, other = own.contiguous(), other.contiguous()
    kernels.distance_gradient(
        weights=w.data_ptr(), strides=w.stride(), own=own.data_ptr(), other=other.data_ptr(),
        sizes=(len(own), len(other), own.shape[1]), similarity=r.similarity, power=r.power, add=add,
        out=out.data_ptr(), stream=stream_of(out),
    )  # fmt: skip


def positive_gradients(
    r: Request, weights: Tensor, x_gradient: Tensor | None, y_gradient: Tensor | None
) -> Tensor:
    """Add the positives' share to float64 gradients; return the positives' similarities (n,)."""
    n = len(r.x)
    labels = torch.arange(n, device=r.x.device) + r.offset if r.labels is None else r.labels
    x, y = r.x.double(), r.other.double()[labels]
    w = (weights * r.scale.double())[:, None]
    if r.similarity == "dot":
        by_x, by_y = w * y, w * x
    else:
        by_x = w * (2 * (y - x) if r.similarity == "sqeuclidean" else -_slope(x - y, r))
        by_y = -by_x
    if x_gradient is not None:
        x_gradient += by_x
    if y_gradient is not None:  # sorted by torch, so that the order of repeated labels is fixed
        y_gradient.index_put_((labels,), by_y, accumulate=True)
    return similarity_pairs(x, y, r)  # type: ignore[arg-type]  # reads similarity and power only
