"""The fused kernels as torch operators: fake kernels, the autograd formula, the autocast rule.

Refuses second derivatives: the gradient operator has an autograd formula that only raises. The operators take tensors
and plain values, never read a tensor's value in Python, and leave the checks of what a user may pass to `problem`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lpcm import _core
from lpcm.loss import cuda
from lpcm.loss.problem import Inputs, Problem
from lpcm.loss.reference import Statistics

# Under this many products per thread, waking the others costs more than they bring.
_PRODUCTS_A_THREAD = 1 << 20


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _matrix(t: Tensor) -> tuple[int, str, int, int, int, int]:
    return (t.data_ptr(), _name(t.dtype), t.shape[0], t.shape[1], t.stride(0), t.stride(1))


def _place(t: Tensor) -> tuple[int, str]:
    return (t.data_ptr() if t.numel() else 0, _name(t.dtype))


def _resolved(precision: str, x: Tensor, y: Tensor | None) -> str:
    """What 'auto' means: float64 features in float64, bfloat16 ones in bf16, everything else in fp32."""
    dtypes = {x.dtype, x.dtype if y is None else y.dtype}
    if torch.float64 in dtypes:
        return "float64"
    if precision != "auto":
        return precision
    return "bf16" if dtypes == {torch.bfloat16} else "fp32"


def _threads(x: Tensor, y: Tensor | None) -> int:
    products = x.shape[0] * (x if y is None else y).shape[0] * max(1, x.shape[1])
    return max(1, min(torch.get_num_threads(), products // _PRODUCTS_A_THREAD))


def _arguments(
    x: Tensor,
    y: Tensor | None,
    scale: Tensor,
    bias: Tensor | None,
    labels: Tensor | None,
    offset: int,
    objective: str,
    directions: str,
    similarity: str,
    power: float,
    precision: str,
    level: str,
) -> dict[str, Any]:
    """What both calls of the core take: addresses only, so tensors must outlive the call and labels be contiguous."""
    options = {
        "objective": objective,
        "directions": directions,
        "similarity": similarity,
        "power": power,
        "precision": _resolved(precision, x, y),
        "threads": _threads(x, y),
        "level": level,
    }
    return {
        "x": _matrix(x),
        "y": None if y is None else _matrix(y),
        "scale": _place(scale),
        "bias": None if bias is None else _place(bias),
        "labels": 0 if labels is None else labels.data_ptr(),
        "offset": offset,
        "options": options,
    }


@torch.library.custom_op("lpcm::contrastive_statistics", mutates_args=(), device_types="cpu")
def contrastive_statistics(
    x: Tensor,
    y: Tensor | None,
    scale: Tensor,
    bias: Tensor | None,
    labels: Tensor | None,
    offset: int,
    objective: str,
    directions: str,
    similarity: str,
    power: float,
    precision: str,
    level: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.statistics` by the compiled core, in float64 whatever the features are.

    `level` is empty for the best one here, or names a CPU level or one of `cuda.ON_CPU`; on a GPU one of
    `cuda_request.WAYS`. Raises ValueError for labels out of range and for a
    scale or bias that is not finite.
    """
    out = _empty_statistics(x, y, directions)
    if level in cuda.ON_CPU:
        cuda.statistics(
            x, y, scale, bias, labels, offset, objective, directions, similarity, power, precision, level, out
        )
        return out
    labels = None if labels is None else labels.contiguous()
    arguments = _arguments(
        x, y, scale, bias, labels, offset, objective, directions, similarity, power, precision, level
    )
    _core.contrastive_forward(**arguments, statistics=[_place(t)[0] for t in out])
    return out


def _empty_statistics(x: Tensor, y: Tensor | None, directions: str) -> tuple[Tensor, Tensor, Tensor]:
    n = x.shape[0]
    m = (x if y is None else y).shape[0] if directions == "both" else 0
    return tuple(x.new_empty(size, dtype=torch.float64) for size in (n, m, n))  # type: ignore[return-value]


@contrastive_statistics.register_fake
def _(  # type: ignore[no-untyped-def]
    x, y, scale, bias, labels, offset, objective, directions, similarity, power, precision, level
):
    return _empty_statistics(x, y, directions)


@torch.library.custom_op("lpcm::contrastive_gradients", mutates_args=(), device_types="cpu")
def contrastive_gradients(
    x: Tensor,
    y: Tensor | None,
    scale: Tensor,
    bias: Tensor | None,
    labels: Tensor | None,
    offset: int,
    objective: str,
    directions: str,
    similarity: str,
    power: float,
    precision: str,
    level: str,
    rows: Tensor,
    columns: Tensor,
    positives: Tensor,
    row_weights: Tensor,
    column_weights: Tensor,
    positive_weights: Tensor,
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, y, scale and bias for weights of the three statistics; empty where `wanted` says no."""
    if level in cuda.ON_CPU:
        return _cuda_gradients(  # type: ignore[no-any-return]
            x, y, scale, bias, labels, offset, objective, directions, similarity, power, precision, level,
            rows, columns, positives, row_weights, column_weights, positive_weights, wanted,
        )  # fmt: skip
    labels = None if labels is None else labels.contiguous()
    arguments = _arguments(
        x, y, scale, bias, labels, offset, objective, directions, similarity, power, precision, level
    )
    saved = [t.contiguous() for t in (rows, columns, positives)]
    weights = [t.contiguous() for t in (row_weights, column_weights, positive_weights)]
    x_gradient, y_gradient, _, _ = out = _empty_gradients(x, y, scale, bias, wanted)
    scalars = torch.zeros(2, dtype=torch.float64)
    addresses = [scalars[i].data_ptr() if wanted[2 + i] else 0 for i in range(2)]
    _core.contrastive_backward(
        **arguments,
        statistics=[_place(t)[0] for t in saved],
        weights=[_place(t)[0] for t in weights],
        x_gradient=_place(x_gradient),
        y_gradient=_place(y_gradient),
        scale_gradient=addresses[0],
        bias_gradient=addresses[1],
    )
    for i in range(2):
        if wanted[2 + i]:
            out[2 + i].copy_(scalars[i])
    return out


def _empty_gradients(
    x: Tensor, y: Tensor | None, scale: Tensor, bias: Tensor | None, wanted: list[bool]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    def empty(like: Tensor | None, wanted: bool) -> Tensor:
        like = x if like is None else like
        return like.new_empty(like.shape if wanted else (0,))

    return tuple(empty(t, w) for t, w in zip((x, y, scale, bias), wanted, strict=True))  # type: ignore[return-value]


@contrastive_gradients.register_fake
def _(  # type: ignore[no-untyped-def]
    x, y, scale, bias, labels, offset, objective, directions, similarity, power, precision, level,
    rows, columns, positives, row_weights, column_weights, positive_weights, wanted,
):  # fmt: skip
    return _empty_gradients(x, y, scale, bias, wanted)


@contrastive_statistics.register_kernel("cuda")
def _cuda_statistics(  # type: ignore[no-untyped-def]
    x, y, scale, bias, labels, offset, objective, directions, similarity, power, precision, level
):
    out = _empty_statistics(x, y, directions)
    cuda.statistics(
        x, y, scale, bias, labels, offset, objective, directions, similarity, power, precision, level, out
    )
    return out


@contrastive_gradients.register_kernel("cuda")
def _cuda_gradients(  # type: ignore[no-untyped-def]
    x, y, scale, bias, labels, offset, objective, directions, similarity, power, precision, level,
    rows, columns, positives, row_weights, column_weights, positive_weights, wanted,
):  # fmt: skip
    out = _empty_gradients(x, y, scale, bias, wanted)
    cuda.gradients(
        x, y, scale, bias, labels, offset, objective, directions, similarity, power, precision, level,
        (rows, columns, positives), (row_weights, column_weights, positive_weights), wanted, out,
    )  # fmt: skip
    return out


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs[:5], *output)
    ctx.options = inputs[5:]


def _backward(ctx: Any, *weights: Tensor) -> tuple[Tensor | None, ...]:
    x, y, scale, bias, labels, *statistics = ctx.saved_tensors
    wanted = [bool(need) for need in ctx.needs_input_grad[:4]]
    gradients = contrastive_gradients(x, y, scale, bias, labels, *ctx.options, *statistics, *weights, wanted)
    kept = [g if w else None for g, w in zip(gradients, wanted, strict=True)]
    return (*kept, *(None for _ in range(8)))


def _no_second_backward(ctx: Any, *gradients: Tensor) -> None:
    raise RuntimeError(
        "the fused contrastive loss has no second derivative: "
        "compute this loss with impl='reference', which autograd differentiates as often as you like"
    )


contrastive_statistics.register_autograd(_backward, setup_context=_save)
contrastive_gradients.register_autograd(_no_second_backward, setup_context=lambda ctx, inputs, output: None)


def _under_autocast(
    x: Tensor,
    y: Tensor | None,
    scale: Tensor,
    bias: Tensor | None,
    labels: Tensor | None,
    offset: int,
    objective: str,
    directions: str,
    similarity: str,
    power: float,
    precision: str,
    level: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Autocast lowers the products of precision 'auto', as it does for a matmul; features are never copied or cast."""
    if precision == "auto" and torch.get_autocast_dtype("cpu") == torch.bfloat16:
        precision = "float64" if torch.float64 in (x.dtype, x.dtype if y is None else y.dtype) else "bf16"
    with torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU)):
        result: tuple[Tensor, Tensor, Tensor] = torch.ops.lpcm.contrastive_statistics(
            x, y, scale, bias, labels, offset, objective, directions, similarity, power, precision, level
        )
    return result


def _under_cuda_autocast(
    x: Tensor,
    y: Tensor | None,
    scale: Tensor,
    bias: Tensor | None,
    labels: Tensor | None,
    offset: int,
    objective: str,
    directions: str,
    similarity: str,
    power: float,
    precision: str,
    level: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """The same on a GPU, where autocast may also mean float16."""
    low = {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(torch.get_autocast_dtype("cuda"))
    if precision == "auto" and low is not None:
        precision = "float64" if torch.float64 in (x.dtype, x.dtype if y is None else y.dtype) else low
    with torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCUDA)):
        result: tuple[Tensor, Tensor, Tensor] = torch.ops.lpcm.contrastive_statistics(
            x, y, scale, bias, labels, offset, objective, directions, similarity, power, precision, level
        )
    return result


_library = torch.library.Library("lpcm", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.impl("contrastive_statistics", _under_autocast, "AutocastCPU")  # type: ignore[no-untyped-call]
_library.impl("contrastive_statistics", _under_cuda_autocast, "AutocastCUDA")  # type: ignore[no-untyped-call]


def statistics(inputs: Inputs, problem: Problem, level: str = "") -> Statistics:
    """`reference.statistics` through the operator."""
    p = problem
    return Statistics(
        *torch.ops.lpcm.contrastive_statistics(
            inputs.x,
            inputs.y,
            inputs.scale,
            inputs.bias,
            inputs.labels,
            p.offset,
            p.objective,
            p.directions,
            p.similarity,
            p.power,
            p.precision,
            level,
        )
    )
