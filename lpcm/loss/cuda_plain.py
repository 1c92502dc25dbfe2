"""The plain path: chunks of rows of the matrix of similarities, written to memory and read again.

Products are torch's own. The elementwise part is one kernel of ours a chunk, or torch's operations where our kernels do
not run: for float64, on older GPUs, in builds without CUDA code, and on any other device. It is the fallback for what
the fused path does not compute (l1 and lp distances) and the baseline that the fused path must beat.

Refuses to hold more than a chunk of the matrix, to wait for the device, and to make float32 products more exact than
`torch.set_float32_matmul_precision` does.
"""

from __future__ import annotations

import math
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from lpcm.loss.cuda_chunk import Operands, chunk_of, left_out, logits_of, operands, stream_of
from lpcm.loss.cuda_products import multiply
from lpcm.loss.cuda_request import Request
from lpcm.loss.cuda_weights import chunk_weights, distance_gradient, normalised, positive_gradients
from lpcm.loss.reference import similarity_pairs

# Bytes of a chunk of similarities.
_CHUNK_BYTES = 256 << 20


def product(out: Tensor, a: Tensor, b: Tensor, *, add: bool) -> None:
    """Set or add to `out` the product a b, accumulated in `out`'s dtype."""
    if a.dtype == out.dtype:
        torch.addmm(out, a, b, beta=1 if add else 0, out=out)
    else:
        multiply(out, a, b, add=add)


def _similarities(kernels: ModuleType | None, r: Request, o: Operands, part: slice) -> Tensor:
    """A chunk of sim(x_i, y_j), (rows, m), contiguous."""
    x = o.x[part]
    if r.similarity in ("l1", "lp"):
        power = 1.0 if r.similarity == "l1" else r.power
        if kernels is None:
            return -torch.cdist(x, o.y, p=power).pow(power)
        out = x.new_empty((len(x), len(o.y)))
        x, y = x.T.contiguous(), o.y.T.contiguous()
        kernels.distances(
            x=x.data_ptr(), y=y.data_ptr(), sizes=(*out.shape, x.shape[0]), similarity=r.similarity, power=r.power,
            out=out.data_ptr(), stream=stream_of(x),
        )  # fmt: skip
        return out
    out = torch.empty((len(x), len(o.y)), dtype=o.accumulator, device=x.device)
    product(out, x, o.y.mT, add=False)
    if o.x_square is not None and o.y_square is not None:
        out.mul_(2).sub_(o.x_square[part, None]).sub_(o.y_square)
    return out


def _log_sum(largest: Tensor, sums: Tensor) -> Tensor:
    """Log-sum-exp over the partial results, from maxima in base 2 and sums relative to them."""
    parts = largest.double() * math.log(2.0) + sums.double().log()
    return parts.logsumexp(0)


def _sums(kernels: ModuleType | None, r: Request, s: Tensor, first: int) -> tuple[Tensor, Tensor | None]:
    """Row statistics of a chunk, and log-sum-exps of its columns when they are asked for; float64."""
    rows, m = s.shape
    if kernels is None:
        logits, mask = logits_of(r, s), left_out(r, first, rows)
        if r.objective == "sigmoid":
            return F.softplus(logits, threshold=40.0).masked_fill_(mask, 0.0).sum(
                1, dtype=torch.float64
            ), None
        logits.masked_fill_(mask, -torch.inf)
        return logits.logsumexp(1).double(), logits.logsumexp(0).double() if r.both else None
    row_max, row_sum = s.new_empty((2, 4 * -(-m // 128), rows))
    columns = s.new_empty((2, -(-rows // 32), m)) if r.both else None
    pointers = [row_max.data_ptr(), row_sum.data_ptr()]
    pointers += [0, 0] if columns is None else [columns[0].data_ptr(), columns[1].data_ptr()]
    kernels.plain_sums(chunk_of(kernels, r, s, first), out=pointers, stream=stream_of(s))
    if r.objective == "sigmoid":
        return row_sum.sum(0, dtype=torch.float64), None
    return _log_sum(row_max, row_sum), None if columns is None else _log_sum(*columns)


def _step(r: Request, o: Operands) -> int:
    """Rows of a chunk, a multiple of 32 where there are more."""
    rows = _CHUNK_BYTES // (o.accumulator.itemsize * r.other.shape[0])
    return max(1, rows // 32 * 32 if rows >= 32 else rows)


def statistics(kernels: ModuleType | None, r: Request, out: tuple[Tensor, Tensor, Tensor]) -> None:
    """Write `reference.statistics` of `r` to three float64 tensors; without `kernels` by torch alone."""
    o = operands(r)
    rows, columns, positives = out
    if r.both:
        columns.fill_(-torch.inf)
    labels = r.labels
    step = _step(r, o)
    for first in range(0, len(r.x), step):
        part = slice(first, first + step)
        row, column = _sums(kernels, r, _similarities(kernels, r, o, part), first)
        rows[part] = row
        if column is not None:
            torch.logaddexp(columns, column, out=columns)
        x = r.x[part].double()
        other = (
            r.other[r.offset + first : r.offset + first + len(x)] if labels is None else r.other[labels[part]]
        )
        positive = similarity_pairs(x, other.double(), r)  # type: ignore[arg-type]  # reads similarity and power only
        positives[part] = positive * r.scale.double() + (0.0 if r.bias is None else r.bias.double())


def gradients(
    kernels: ModuleType | None,
    r: Request,
    saved: tuple[Tensor, Tensor, Tensor],
    weights: tuple[Tensor, Tensor, Tensor],
    wanted: list[bool],
    out: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    """Write the gradients of x, y, scale and bias to `out`, where `wanted`, for weights of the three statistics."""
    o = operands(r)
    within = r.y is None
    n, d = r.x.shape
    x_wanted, y_wanted = wanted[0], wanted[1] or (within and wanted[0])
    norm = normalised(r, saved, weights)
    x_sums = o.x.new_empty((n, d), dtype=o.accumulator) if x_wanted else None
    y_sums = o.y.new_zeros((len(o.y), d), dtype=o.accumulator) if y_wanted else None
    row_weight = saved[0].new_zeros(n)
    column_weight = saved[0].new_zeros(len(o.y))
    products = saved[0].new_zeros(())
    step = _step(r, o)
    for first in range(0, n, step):
        part = slice(first, first + step)
        s = _similarities(kernels, r, o, part)
        w, row_sum, product_sum = chunk_weights(kernels, r, o, norm, s, first)
        row_weight[part] = row_sum
        products += product_sum
        if r.similarity == "sqeuclidean" and y_wanted:
            column_weight += w.sum(0, dtype=torch.float64) / o.weight_scale
        if r.similarity in ("l1", "lp"):
            if x_sums is not None:
                distance_gradient(kernels, r, x_sums[part], w, o.x[part], o.y, add=False)
            if y_sums is not None:
                distance_gradient(kernels, r, y_sums, w.mT, o.y, o.x[part], add=True)
            continue
        if x_sums is not None:
            product(x_sums[part], w, o.y, add=False)
        if y_sums is not None:
            product(y_sums, w.mT, o.x[part], add=True)

    def gradient(sums: Tensor, own: Tensor, weight: Tensor) -> Tensor:
        result = sums.double() / o.weight_scale
        if r.similarity == "sqeuclidean":
            result = 2 * (result - weight[:, None] * own.double())
        return result * (norm.unit * r.scale.double())

    x_gradient = None if x_sums is None else gradient(x_sums, o.x, row_weight)
    y_gradient = None if y_sums is None else gradient(y_sums, o.y, column_weight)
    similarity = positive_gradients(r, weights[2], x_gradient, y_gradient)
    if x_gradient is not None and y_gradient is not None and within:
        x_gradient += y_gradient
    for i, value in enumerate((x_gradient, y_gradient)):
        if wanted[i] and value is not None:
            out[i].copy_(value)
    if wanted[2]:
        out[2].copy_(norm.unit * products + (weights[2] * similarity).sum())
    if wanted[3]:
        out[3].copy_(norm.unit * row_weight.sum() + weights[2].sum())
