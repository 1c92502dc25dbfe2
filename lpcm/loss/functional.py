"""The losses as functions of features, scale and bias.

Refuses to pick a scale, to clamp it, or to normalise features unless asked: what is given is what is used.
"""

from __future__ import annotations

from typing import Literal, overload

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from lpcm.loss import objective, reference
from lpcm.loss.objective import LogSumExp
from lpcm.loss.problem import (
    Directions,
    Implementation,
    Inputs,
    Precision,
    Problem,
    Reduction,
    Similarity,
    check,
    choose,
)
from lpcm.loss.reference import Statistics


def _statistics(inputs: Inputs, problem: Problem, impl: Implementation) -> Statistics:
    ours = inputs.x.device.type in ("cpu", "cuda", "meta")
    if impl == "reference" or (impl == "auto" and not ours):
        return reference.statistics(inputs, problem)
    if not ours:
        raise ValueError(
            f"impl='fused' has no kernels for device {inputs.x.device}: use impl='reference' or 'auto'"
        )
    from lpcm.loss import operator

    return operator.statistics(inputs, problem)


def _prepared(
    x: Tensor, y: Tensor | None, normalize: bool, impl: str, reduction: str, weights: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    choose("impl", impl)
    choose("reduction", reduction)
    if weights is not None and (
        not isinstance(weights, Tensor) or not isinstance(x, Tensor) or weights.shape != x.shape[:1]
    ):
        shape = tuple(weights.shape) if isinstance(weights, Tensor) else type(weights).__name__
        raise ValueError(f"weights are {shape}: expected a tensor with one weight for each row of x")
    if not normalize:
        return x, y
    if not isinstance(x, Tensor) or x.dim() != 2 or not x.dtype.is_floating_point:
        return x, y  # `check` says what is wrong
    return F.normalize(x, dim=-1), y if not isinstance(y, Tensor) else F.normalize(y, dim=-1)


def _result_dtype(inputs: Inputs) -> torch.dtype:
    y = inputs.x if inputs.y is None else inputs.y
    return torch.float64 if torch.float64 in (inputs.x.dtype, y.dtype) else torch.float32


@overload
def contrastive_loss(
    x: Tensor, y: Tensor | None, logit_scale: Tensor | float, *, directions: Directions | None = ...,
    similarity: Similarity = ..., power: float = ..., logit_bias: Tensor | float | None = ...,
    labels: Tensor | int | None = ..., label_smoothing: float = ..., weights: Tensor | None = ...,
    reduction: Reduction = ..., normalize: bool = ..., precision: Precision = ...,
    return_lse: Literal[False] = ..., impl: Implementation = ...,
) -> Tensor: ...  # fmt: skip
@overload
def contrastive_loss(
    x: Tensor, y: Tensor | None, logit_scale: Tensor | float, *, directions: Directions | None = ...,
    similarity: Similarity = ..., power: float = ..., logit_bias: Tensor | float | None = ...,
    labels: Tensor | int | None = ..., label_smoothing: float = ..., weights: Tensor | None = ...,
    reduction: Reduction = ..., normalize: bool = ..., precision: Precision = ...,
    return_lse: Literal[True], impl: Implementation = ...,
) -> tuple[Tensor, LogSumExp]: ...  # fmt: skip
def contrastive_loss(
    x: Tensor,
    y: Tensor | None,
    logit_scale: Tensor | float,
    *,
    directions: Directions | None = None,
    similarity: Similarity = "dot",
    power: float = 2.0,
    logit_bias: Tensor | float | None = None,
    labels: Tensor | int | None = None,
    label_smoothing: float = 0.0,
    weights: Tensor | None = None,
    reduction: Reduction = "mean",
    normalize: bool = False,
    precision: Precision = "auto",
    return_lse: bool = False,
    impl: Implementation = "auto",
) -> Tensor | tuple[Tensor, LogSumExp]:
    """InfoNCE between the rows of x and of y, without an n x m matrix in memory.

    Logits are ``s_ij = logit_scale * sim(x_i, y_j) + logit_bias``. Row i is classified among the columns, its positive
    being the right class; with directions 'both' that column is classified among the rows as well, and the two
    cross-entropies are averaged (CLIP, arXiv 2103.00020, figure 3).

    Args:
        x: (n, d) features; float32, float64, bfloat16 or float16, any strides.
        y: (m, d) features; None for pairs within x (SimCLR, arXiv 2002.05709): a row is then never its own negative.
        logit_scale: 0-d tensor or number, already exponentiated; finite. 1 / temperature.
        directions: 'both' (the default) or 'rows'; pairs within x know 'rows' only, which is their default.
        similarity: 'dot'; or minus a distance: 'sqeuclidean', 'l1', 'lp' (sum of ``|x - y| ** power``).
        power: exponent of 'lp', at least 1.
        logit_bias: 0-d tensor or number added to every logit; cancels in this loss, but not in what `return_lse` gives.
        labels: (n,) int64, the positive column of each row, repeats allowed; or an offset k, row i having column i + k;
            None for offset 0. Within x, the other row of each pair, mutual; None pairs i with (i + n/2) mod n.
        label_smoothing: share of the target spread evenly over all classes, in [0, 1).
        weights: (n,) weight of each row's loss; 'mean' divides by their sum.
        reduction: 'mean', 'sum' or 'none' (n,).
        normalize: divide the rows of x and y by their norms first.
        precision: of the products. 'auto' is 'float64' for float64 features, 'bf16' for bfloat16 ones and under bf16
            autocast, else 'fp32'. Sums and gradients never have less than fp32, positives never less than the features.
            Distances other than 'sqeuclidean' have no bf16 products and use fp32. On a GPU 'auto' is fp16 for float16
            features and under float16 autocast, and follows `torch.set_float32_matmul_precision` for float32 ones.
        return_lse: also return the log-sum-exps.
        impl: 'fused', 'reference' (plain torch, any device, any derivative), or 'auto': fused where there are kernels.

    Returns:
        The loss, 0-d or (n,), float64 for float64 features and float32 otherwise; with `return_lse` a pair of the loss
        and `LogSumExp(rows, columns, positives)`, in float64 from the fused kernels.

    Raises:
        TypeError: wrong kinds or dtypes. ValueError: shapes, devices, choices, labels or scales that make no sense.
        RuntimeError: on a second derivative of the fused kernels.

    Example:
        >>> x, y = torch.eye(4), torch.eye(4)
        >>> round(contrastive_loss(x, y, 10.0).item(), 6)
        0.000136
    """
    if not isinstance(label_smoothing, (int, float)) or not 0.0 <= label_smoothing < 1.0:
        raise ValueError(f"label_smoothing={label_smoothing!r}: expected a number in [0, 1)")
    x, y = _prepared(x, y, normalize, impl, reduction, weights)
    if directions is None:
        directions = "rows" if y is None else "both"
    inputs, problem = check(
        x,
        y,
        logit_scale,
        logit_bias,
        labels,
        Problem("softmax", directions, similarity, float(power), precision),
    )
    statistics = _statistics(inputs, problem, impl)
    loss, lse = objective.softmax_loss(
        statistics, inputs, problem, float(label_smoothing), weights, reduction
    )
    loss = loss.to(_result_dtype(inputs))
    return (loss, lse) if return_lse else loss


def sigmoid_loss(
    x: Tensor,
    y: Tensor,
    logit_scale: Tensor | float,
    logit_bias: Tensor | float | None = None,
    *,
    similarity: Similarity = "dot",
    power: float = 2.0,
    labels: Tensor | int | None = None,
    weights: Tensor | None = None,
    reduction: Reduction = "mean",
    normalize: bool = False,
    precision: Precision = "auto",
    impl: Implementation = "auto",
) -> Tensor:
    """Binary cross-entropy of every pair of a row of x and a row of y (SigLIP, arXiv 2303.15343, equation 1).

    The loss of row i is ``log(1 + exp(-s_i,label)) + sum over other j of log(1 + exp(s_ij))``; 'mean' divides the sum
    over rows by n, as open_clip does. Arguments, dtypes and errors are those of `contrastive_loss`; `logit_bias` does
    not cancel here.

    Example:
        >>> round(sigmoid_loss(torch.eye(4), torch.eye(4), 10.0, -5.0).item(), 6)
        0.02686
    """
    x, prepared = _prepared(x, y, normalize, impl, reduction, weights)
    if prepared is None:
        raise TypeError("y must be a tensor, got None: the sigmoid loss needs both sides")
    inputs, problem = check(
        x,
        prepared,
        logit_scale,
        logit_bias,
        labels,
        Problem("sigmoid", "rows", similarity, float(power), precision),
    )
    statistics = _statistics(inputs, problem, impl)
    return objective.sigmoid_loss(statistics, weights, reduction).to(_result_dtype(inputs))
