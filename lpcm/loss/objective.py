"""From statistics to a loss: O(n) arithmetic in plain torch, the same for every implementation.

The loss of one row is log(1 + exp(rest - positive)), with the positive left out of `rest`: unlike logsumexp - positive
it keeps its digits, and so does its gradient, when the loss is far below the rounding error of a logit.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from lpcm.loss.problem import Inputs, Problem, Reduction
from lpcm.loss.reference import Statistics, mean_logits, positive_columns


class LogSumExp(NamedTuple):
    """Log-sum-exp over all logits of a row (n,) and of a column (m,), and the positives' logits (n,).

    `columns` is None for one direction. Top-1 style accuracy, entropy and z-loss follow from these.
    """

    rows: Tensor
    columns: Tensor | None
    positives: Tensor


def softplus(t: Tensor) -> Tensor:
    """log(1 + exp(t)), exact to float64 everywhere: torch's default replaces it by t from 20 on, an error of 2e-9."""
    return F.softplus(t, threshold=40.0)


def _log_add(a: Tensor, b: Tensor) -> Tensor:
    """log(e^a + e^b) with a zero gradient, not NaN, where both are minus infinity."""
    nothing = torch.isneginf(a) & torch.isneginf(b)
    total = torch.logaddexp(a.masked_fill(nothing, 0.0), b.masked_fill(nothing, 0.0))
    return total.masked_fill(nothing, -torch.inf)


def _shared_positives(positives: Tensor, labels: Tensor, m: int) -> tuple[Tensor, Tensor]:
    """Log-sum-exp of the positives in a column: of all of them (m,), and for each row of the others (n,)."""
    top = positives.new_full((m,), -torch.inf).scatter_reduce(0, labels, positives.detach(), "amax")
    shift = torch.where(torch.isinf(top), 0.0, top)
    own = torch.exp(positives - shift[labels])
    total = positives.new_zeros(m).index_add(0, labels, own)

    def log(amount: Tensor, shift: Tensor) -> Tensor:
        some = amount > 0
        return torch.where(some, torch.log(torch.where(some, amount, 1.0)) + shift, -torch.inf)

    return log(total, shift), log(total[labels] - own, shift[labels])


def _reduce(loss: Tensor, weights: Tensor | None, reduction: Reduction) -> Tensor:
    if weights is not None:
        weights = weights.to(loss.dtype)
        loss = loss * weights
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    return loss.mean() if weights is None else loss.sum() / weights.sum()


def softmax_loss(
    s: Statistics,
    inputs: Inputs,
    problem: Problem,
    label_smoothing: float,
    weights: Tensor | None,
    reduction: Reduction,
) -> tuple[Tensor, LogSumExp]:
    """InfoNCE over rows, or its mean with the one over columns (arXiv 2103.00020, figure 3)."""
    n, m = s.positives.shape[0], inputs.columns
    both = problem.directions == "both"
    labels = positive_columns(inputs, problem)
    loss = softplus(s.rows - s.positives)
    columns = None
    if both:
        if inputs.labels is None:  # one positive a column at most
            rest = s.columns[problem.offset : problem.offset + n]
            shared = torch.cat(
                [
                    s.positives.new_full((problem.offset,), -torch.inf),
                    s.positives,
                    s.positives.new_full((m - n - problem.offset,), -torch.inf),
                ]
            )
        else:
            shared, others = _shared_positives(s.positives, labels, m)
            rest = _log_add(s.columns[labels], others)
        loss = (loss + softplus(rest - s.positives)) / 2
        columns = _log_add(s.columns, shared)
    if label_smoothing:
        row_mean, column_mean = mean_logits(inputs, problem)
        mean = (row_mean + column_mean[labels]) / 2 if both else row_mean
        loss = loss + label_smoothing * (s.positives - mean)
    return _reduce(loss, weights, reduction), LogSumExp(
        torch.logaddexp(s.rows, s.positives), columns, s.positives
    )


def sigmoid_loss(s: Statistics, weights: Tensor | None, reduction: Reduction) -> Tensor:
    """Binary cross-entropy of every pair, summed over each row (arXiv 2303.15343, equation 1)."""
    return _reduce(s.rows + softplus(-s.positives), weights, reduction)
