"""What a contrastive problem is, in words that every implementation shares, and what makes no sense.

Refuses to compute anything. Checks read shapes, dtypes and devices only, never values, so that they also hold under
`torch.compile` and cost no synchronisation; the range of labels is checked where the labels are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import torch
from torch import Tensor

Objective = Literal["softmax", "sigmoid"]
Directions = Literal["both", "rows"]
Similarity = Literal["dot", "sqeuclidean", "l1", "lp"]
Precision = Literal["auto", "float64", "fp32", "bf16"]
Reduction = Literal["mean", "sum", "none"]
Implementation = Literal["auto", "fused", "reference"]

CHOICES: dict[str, tuple[str, ...]] = {
    "objective": ("softmax", "sigmoid"),
    "directions": ("both", "rows"),
    "similarity": ("dot", "sqeuclidean", "l1", "lp"),
    "precision": ("auto", "float64", "fp32", "bf16"),
    "reduction": ("mean", "sum", "none"),
    "impl": ("auto", "fused", "reference"),
}


@dataclass(frozen=True)
class Problem:
    """Everything about a problem that is not a tensor. See `lpcm.contrastive_loss` for the meaning of the fields."""

    objective: Objective = "softmax"
    directions: Directions = "both"
    similarity: Similarity = "dot"
    power: float = 2.0
    precision: Precision = "auto"
    offset: int = 0


@dataclass(frozen=True)
class Inputs:
    """The tensors of a problem after checking: `y` is None for pairs within x; scalars are 0-d float32 or float64."""

    x: Tensor
    y: Tensor | None
    scale: Tensor
    bias: Tensor | None
    labels: Tensor | None

    @property
    def columns(self) -> int:
        """How many rows y has, or x where it is both sides."""
        return (self.x if self.y is None else self.y).shape[0]


def choose(name: str, given: str) -> None:
    """Raise ValueError unless `given` is one of the choices for `name`; the message names the nearest."""
    known = CHOICES[name]
    if given in known:
        return
    near = get_close_matches(str(given), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name}={given!r}: expected one of {', '.join(map(repr, known))}{hint}")


def _features(name: str, t: Tensor) -> None:
    if not isinstance(t, Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(t).__name__}")
    if t.dtype not in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        raise TypeError(
            f"{name} has dtype {t.dtype}: expected float32, float64, bfloat16 or float16; convert with {name}.float()"
        )
    if t.layout != torch.strided:
        raise TypeError(
            f"{name} has layout {t.layout}: expected a dense tensor; convert with {name}.to_dense()"
        )
    if t.dim() != 2:
        raise ValueError(f"{name} has shape {tuple(t.shape)}: expected (rows, d)")


def _scalar(name: str, value: Tensor | float | None, like: Tensor) -> Tensor | None:
    """`value` as a 0-d float32 or float64 tensor on the features' device."""
    if value is None:
        return None
    if not isinstance(value, Tensor):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{name} must be a number or a tensor, got {type(value).__name__}")
        # filled where it is needed: copying a number to a GPU would wait for it, and cannot be captured in a graph
        return torch.full((), float(value), dtype=torch.float64, device=like.device)
    if value.numel() != 1:
        raise ValueError(f"{name} has shape {tuple(value.shape)}: expected one number")
    if not value.dtype.is_floating_point:
        raise TypeError(f"{name} has dtype {value.dtype}: expected a floating-point dtype")
    if value.device != like.device:
        raise ValueError(f"{name} is on {value.device} and x on {like.device}: move them to one device")
    value = value.reshape(())
    return value if value.dtype in (torch.float32, torch.float64) else value.float()


def check(
    x: Tensor,
    y: Tensor | None,
    logit_scale: Tensor | float,
    logit_bias: Tensor | float | None,
    labels: Tensor | int | None,
    problem: Problem,
) -> tuple[Inputs, Problem]:
    """Check what the caller gave; return it in the form that the implementations take.

    Raises TypeError for a wrong kind or dtype, ValueError for shapes, devices and choices that make no sense.
    """
    for name in ("objective", "directions", "similarity", "precision"):
        choose(name, getattr(problem, name))
    if problem.similarity == "lp" and not 1.0 <= problem.power < float("inf"):
        raise ValueError(f"power={problem.power}: similarity 'lp' needs a finite power of at least 1")
    _features("x", x)
    n = x.shape[0]
    if y is not None:
        _features("y", y)
        if x.shape[1] != y.shape[1]:
            raise ValueError(
                f"x has shape {tuple(x.shape)} and y {tuple(y.shape)}: the widths d must be equal"
            )
        if x.device != y.device:
            raise ValueError(f"x is on {x.device} and y on {y.device}: move them to one device")
    m = n if y is None else y.shape[0]
    if n == 0 or m == 0:
        raise ValueError(
            f"empty batch: x has shape {tuple(x.shape)}" + ("" if y is None else f", y {tuple(y.shape)}")
        )
    if y is None:
        if problem.objective == "sigmoid" or problem.directions == "both":
            raise ValueError("pairs within x (y=None) are a softmax over rows: directions must be 'rows'")
        if labels is None and n % 2:
            raise ValueError(
                f"pairs within x: row i is paired with row (i + n/2) mod n, so n must be even, got {n}; or pass labels"
            )
        if n < 2:
            raise ValueError(f"pairs within x need at least two rows, got x of shape {tuple(x.shape)}")
    if problem.precision == "bf16" and torch.float64 in (x.dtype, x.dtype if y is None else y.dtype):
        raise ValueError("precision='bf16' with float64 features: convert them, or leave precision at 'auto'")
    scale = _scalar("logit_scale", logit_scale, x)
    if scale is None:
        raise TypeError("logit_scale must be a number or a tensor, got None")
    bias = _scalar("logit_bias", logit_bias, x)
    if isinstance(labels, Tensor):
        if labels.dtype != torch.int64 or labels.shape != (n,):
            raise ValueError(
                f"labels have shape {tuple(labels.shape)} and dtype {labels.dtype}: expected ({n},) and torch.int64"
            )
        if labels.device != x.device:
            raise ValueError(f"labels are on {labels.device} and x on {x.device}: move them to one device")
        return Inputs(x, y, scale, bias, labels), problem
    if y is None and labels is None:
        index = torch.arange(n, device=x.device)
        return Inputs(x, y, scale, bias, (index + n // 2) % n), problem
    if y is None or (labels is not None and (isinstance(labels, bool) or not isinstance(labels, int))):
        raise TypeError(
            f"labels must be None, an int64 tensor{'' if y is None else ' or an offset'}, got {labels!r}"
        )
    offset = 0 if labels is None else labels
    if offset < 0 or offset + n > m:
        raise ValueError(
            f"row i has its positive in column i + {offset}, but x has shape {tuple(x.shape)} and y {tuple(y.shape)}: "
            f"expected 0 <= offset <= {m} - {n}; pass labels when the rows do not match one by one"
        )
    return Inputs(x, y, scale, bias, None), Problem(
        problem.objective, problem.directions, problem.similarity, problem.power, problem.precision, offset
    )
