"""The statistics of a contrastive problem in plain torch: the truth for every kernel, and the way on every device.

Rows are taken in chunks whose logits are formed again in the backward pass, so memory stays O(chunk x m). Derivatives
of any order come from autograd; in float64 they pass gradcheck. Nothing here is fast.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint

from lpcm.loss.problem import Inputs, Problem


class Statistics(NamedTuple):
    """What a loss is made of; see `csrc/include/lpcm/loss.hpp` for the formulas.

    `rows` (n,): log-sum-exp of row i over its negatives (softmax), or sum of log(1 + exp(s)) over them (sigmoid).
    `columns` (m,): log-sum-exp of column j over its negatives; empty unless directions are 'both'.
    `positives` (n,): the logit of row i and its positive.
    """

    rows: Tensor
    columns: Tensor
    positives: Tensor


# Largest number of elements that a chunk of logits, or of differences, may have.
_CHUNK_ELEMENTS = 1 << 22


def similarity_matrix(x: Tensor, y: Tensor, problem: Problem) -> Tensor:
    """sim(x_i, y_j) as an (n, m) matrix: x y^T, or minus the sum over features of |x - y|^p."""
    if problem.similarity == "dot":
        return x @ y.T
    difference = x[:, None, :] - y[None, :, :]
    if problem.similarity == "sqeuclidean":
        return -difference.square().sum(-1)
    if problem.similarity == "l1":
        return -difference.abs().sum(-1)
    return -difference.abs().pow(problem.power).sum(-1)


def similarity_pairs(x: Tensor, y: Tensor, problem: Problem) -> Tensor:
    """sim(x_i, y_i), row by row."""
    if problem.similarity == "dot":
        return (x * y).sum(-1)
    difference = x - y
    if problem.similarity == "sqeuclidean":
        return -difference.square().sum(-1)
    if problem.similarity == "l1":
        return -difference.abs().sum(-1)
    return -difference.abs().pow(problem.power).sum(-1)


def _accumulating(inputs: Inputs) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Features and scalars in the dtype of the sums: float64 when any feature is, float32 otherwise."""
    y = inputs.x if inputs.y is None else inputs.y
    dtype = torch.float64 if torch.float64 in (inputs.x.dtype, y.dtype) else torch.float32
    bias = None if inputs.bias is None else inputs.bias.to(dtype)
    return inputs.x.to(dtype), y.to(dtype), inputs.scale.to(dtype), bias


def positive_columns(inputs: Inputs, problem: Problem) -> Tensor:
    """The column of each row's positive, (n,) int64."""
    if inputs.labels is not None:
        return inputs.labels
    return torch.arange(inputs.x.shape[0], device=inputs.x.device) + problem.offset


def _chunk_rows(x: Tensor, y: Tensor, problem: Problem) -> int:
    width = 1 if problem.similarity == "dot" else max(1, x.shape[1])
    return max(1, _CHUNK_ELEMENTS // max(1, y.shape[0] * width))


def statistics(inputs: Inputs, problem: Problem) -> Statistics:
    """Row and column statistics and the positives, differentiable as often as you like; autocast does not lower them.

    Raises IndexError (from torch) when a label is out of range.
    """
    device = inputs.x.device.type
    if not torch.amp.is_autocast_available(device):
        return _statistics(inputs, problem)
    with torch.autocast(device, enabled=False):
        return _statistics(inputs, problem)


def _statistics(inputs: Inputs, problem: Problem) -> Statistics:
    x, y, scale, bias = _accumulating(inputs)
    labels = positive_columns(inputs, problem)
    within = inputs.y is None
    n, m = x.shape[0], y.shape[0]

    def logits(similarities: Tensor) -> Tensor:
        return scale * similarities if bias is None else scale * similarities + bias

    def chunk(x_part: Tensor, y: Tensor, label_part: Tensor, first: int) -> tuple[Tensor, Tensor]:
        s = logits(similarity_matrix(x_part, y, problem))
        column = torch.arange(m, device=x.device)
        left_out = column == label_part[:, None]
        if within:
            left_out = left_out | (
                column == torch.arange(first, first + len(x_part), device=x.device)[:, None]
            )
        if problem.objective == "sigmoid":
            return F.softplus(s, threshold=40.0).masked_fill(left_out, 0.0).sum(1), s.new_empty(0)
        s = s.masked_fill(left_out, -torch.inf)
        return s.logsumexp(1), s.logsumexp(0) if problem.directions == "both" else s.new_empty(0)

    step = _chunk_rows(x, y, problem)
    rows, columns = [], []
    for first in range(0, n, step):
        part = slice(first, first + step)
        if step < n and torch.is_grad_enabled():
            row, column = checkpoint(
                chunk, x[part], y, labels[part], first, use_reentrant=False, preserve_rng_state=False
            )
        else:
            row, column = chunk(x[part], y, labels[part], first)
        rows.append(row)
        columns.append(column)
    positives = logits(similarity_pairs(x, y[labels], problem))
    return Statistics(
        torch.cat(rows), torch.stack(columns).logsumexp(0) if len(columns[0]) else columns[0], positives
    )


def mean_logits(inputs: Inputs, problem: Problem) -> tuple[Tensor, Tensor]:
    """The mean logit of every row (n,) and, for directions 'both', of every column (m,).

    Pairs within x leave the row itself out. Closed forms in O((n + m) d) for 'dot' and 'sqeuclidean'; the other
    distances have none and are averaged chunk by chunk.
    """
    x, y, scale, bias = _accumulating(inputs)
    n, m = x.shape[0], y.shape[0]
    # Products with one vector are written as sums: autocast would round an `@` to 16 bits.
    if problem.similarity == "dot":
        rows, columns = (x * y.mean(0)).sum(-1), (y * x.mean(0)).sum(-1)
    elif problem.similarity == "sqeuclidean":
        centre = y.mean(0)
        x, y = x - centre, y - centre
        x2, y2 = x.square().sum(-1), y.square().sum(-1)
        rows = 2 * (x * y.mean(0)).sum(-1) - x2 - y2.mean()
        columns = 2 * (y * x.mean(0)).sum(-1) - y2 - x2.mean()
    else:

        def chunk(x_part: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            s = similarity_matrix(x_part, y, problem)
            return s.mean(1), s.sum(0)

        step = _chunk_rows(x, y, problem)
        parts = [
            checkpoint(chunk, x[i : i + step], y, use_reentrant=False, preserve_rng_state=False)
            for i in range(0, n, step)
        ]
        rows, columns = torch.cat([p[0] for p in parts]), torch.stack([p[1] for p in parts]).sum(0) / n
    if inputs.y is None:
        own = similarity_pairs(x, x, problem)
        rows = (rows * m - own) / (m - 1)
    rows, columns = scale * rows, scale * columns
    return (rows, columns) if bias is None else (rows + bias, columns + bias)
