"""The operator's two calls for tensors on a GPU: which way a request goes, on which device and stream.

Also runs the same code on tensors of a processor, by the kernels of the emulated machine or by torch alone, for tests:
levels `ON_CPU`. Refuses to read a value of any tensor: labels and scales that
make no sense give NaNs here, where the CPU operator raises.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch
from torch import Tensor

from lpcm.loss import cuda_fused, cuda_plain
from lpcm.loss.cuda_fused import workspace
from lpcm.loss.cuda_request import Request, Way, arithmetic, kernels, way

__all__ = ["ON_CPU", "gradients", "statistics", "workspace"]

# Levels of the operator on CPU tensors, and the way each of them runs.
ON_CPU: dict[str, Way] = {
    "emulated-cuda": "fused",
    "emulated-cuda-hopper": "hopper",
    "emulated-cuda-plain": "plain",
    "torch": "torch",
}


def _request(
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
) -> Request:
    labels = None if labels is None else labels.contiguous()
    return Request(
        x,
        y,
        scale,
        bias,
        labels,
        offset,
        objective,
        directions,
        similarity,
        power,
        arithmetic(precision, x, y),
    )


def _route(r: Request, level: str) -> tuple[Way, ModuleType | None]:
    if r.x.device.type == "cpu":
        chosen = ON_CPU[level]
        if chosen in ("fused", "hopper") and (r.similarity in ("l1", "lp") or r.arithmetic == "float64"):
            chosen = "plain"  # as on a GPU
        if r.arithmetic == "float64":
            chosen = "torch"
        return chosen, None if chosen == "torch" else kernels("_cuda_emulated")
    chosen = way(r, level)
    return chosen, None if chosen == "torch" else kernels()


def _with_instruction(r: Request, chosen: Way) -> Request:
    """Products of two parts an operand have no form for the other instruction."""
    group = chosen == "hopper" and r.arithmetic in ("bf16", "fp16")
    return dataclasses.replace(r, instruction="wgmma") if group else r


@contextmanager
def _on_device(r: Request) -> Iterator[None]:
    """The device of the tensors, and products in the dtypes that they are given."""
    kind = r.x.device.type
    with torch.autocast(kind, enabled=False):
        if kind == "cuda":
            with torch.cuda.device(r.x.device):
                yield
        else:
            yield


def statistics(
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
    out: tuple[Tensor, Tensor, Tensor],
) -> None:
    """Write `reference.statistics` to three float64 tensors.

    Raises ValueError for a `level` that cannot compute this here.
    """
    r = _request(x, y, scale, bias, labels, offset, objective, directions, similarity, power, precision)
    chosen, compiled = _route(r, level)
    with _on_device(r):
        if chosen in ("fused", "hopper") and compiled is not None:
            cuda_fused.statistics(compiled, _with_instruction(r, chosen), out)
        else:
            cuda_plain.statistics(compiled, r, out)


def gradients(
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
    saved: tuple[Tensor, Tensor, Tensor],
    weights: tuple[Tensor, Tensor, Tensor],
    wanted: list[bool],
    out: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    """Write the gradients of x, y, scale and bias to `out` where `wanted`, for weights of the three statistics."""
    r = _request(x, y, scale, bias, labels, offset, objective, directions, similarity, power, precision)
    chosen, compiled = _route(r, level)
    saved = (saved[0].contiguous(), saved[1].contiguous(), saved[2].contiguous())
    weights = (weights[0].contiguous(), weights[1].contiguous(), weights[2].contiguous())
    with _on_device(r):
        if chosen in ("fused", "hopper") and compiled is not None:
            cuda_fused.gradients(compiled, _with_instruction(r, chosen), saved, weights, wanted, out)
        else:
            cuda_plain.gradients(compiled, r, saved, weights, wanted, out)
