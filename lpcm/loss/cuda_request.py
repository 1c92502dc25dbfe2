"""What the ways of computing a loss on a GPU have in common: the request, its precision, and which way takes it.

Refuses to compute anything, and to read a value of any tensor: that would wait for the device.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import torch
from torch import Tensor

Arithmetic = Literal["float64", "fp32", "fp16", "bf16"]
Way = Literal["fused", "hopper", "plain", "torch"]
Instruction = Literal["mma", "wgmma"]

WAYS: tuple[Way, ...] = ("fused", "hopper", "plain", "torch")


@dataclass(frozen=True)
class Request:
    """The arguments of the operator, with the arithmetic of its products resolved.

    `y` is None for pairs within x. `arithmetic`: 'fp32' keeps the error of fp32, 'fp16' has that of tf32 for fp32
    features, at twice its speed. `instruction`: of tensor cores; 'wgmma' is Hopper's own, for one product an element.
    """

    x: Tensor
    y: Tensor | None
    scale: Tensor
    bias: Tensor | None
    labels: Tensor | None
    offset: int
    objective: str
    directions: str
    similarity: str
    power: float
    arithmetic: Arithmetic
    instruction: Instruction = "mma"

    @property
    def other(self) -> Tensor:
        """The features of the columns."""
        return self.x if self.y is None else self.y

    @property
    def both(self) -> bool:
        """Whether columns are normalised as well."""
        return self.directions == "both"


def arithmetic(precision: str, x: Tensor, y: Tensor | None) -> Arithmetic:
    """How products are computed for features like these.

    'auto' is float64, bf16 or fp16 for features that are all of that dtype, and otherwise what
    `torch.set_float32_matmul_precision` says of fp32 products: 'highest' fp32, 'high' the class of tf32, 'medium' bf16.

    Source: the meaning of the three is that of torch's own documentation of that function.
    """
    dtypes = {x.dtype, x.dtype if y is None else y.dtype}
    if torch.float64 in dtypes:
        return "float64"
    if precision != "auto":
        return "fp16" if precision == "fp16" else "bf16" if precision == "bf16" else "fp32"
    if dtypes == {torch.bfloat16}:
        return "bf16"
    if dtypes == {torch.float16}:
        return "fp16"
    chosen: dict[str, Arithmetic] = {"highest": "fp32", "high": "fp16", "medium": "bf16"}
    return chosen[torch.get_float32_matmul_precision()]


@functools.cache
def kernels(name: str = "_cuda") -> ModuleType | None:
    """The compiled module, or None in a build without CUDA. Loading it starts no driver."""
    try:
        return importlib.import_module(f"lpcm.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"lpcm.{name}":
            raise
        return None


@functools.cache
def _has_tensor_cores(device: torch.device) -> bool:
    """Whether the kernels were built for this GPU: compute capability 8.0, A100, or newer."""
    return torch.version.hip is None and torch.cuda.get_device_capability(device) >= (8, 0)


@functools.cache
def _is_hopper(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device) == (9, 0)


def usable(device: torch.device) -> bool:
    """Whether our kernels run on this GPU."""
    return kernels() is not None and _has_tensor_cores(device)


def way(request: Request, level: str) -> Way:
    """Who computes this request: our kernels, plain chunks with our elementwise kernels, or plain torch.

    `level` is empty for the best way that was tested on such a device, or names one. 'hopper' is 'fused' with the
    instruction that only compute capability 9.0 has; it becomes the best way there once it has been measured.

    Raises:
        ValueError: that way cannot compute this here; the message says why.
    """
    products = request.similarity in ("dot", "sqeuclidean") and request.arithmetic != "float64"
    here = usable(request.x.device)
    if not level:
        if request.arithmetic == "float64" or not here:
            return "torch"
        return "fused" if products else "plain"
    if level not in WAYS:
        raise ValueError(f"level={level!r} on {request.x.device}: expected '' or one of {', '.join(WAYS)}")
    if level in ("fused", "hopper") and not products:
        raise ValueError(
            f"level={level!r} multiplies on tensor cores: expected similarity 'dot' or 'sqeuclidean' and features "
            f"that are not float64, got {request.similarity!r} and {request.arithmetic}; leave level empty"
        )
    if level != "torch" and not here:
        reason = "this build has no CUDA code" if kernels() is None else "the GPU is older than A100"
        raise ValueError(f"level={level!r} on {request.x.device}: {reason}; expected '' or 'torch'")
    if level == "hopper" and not _is_hopper(request.x.device):
        raise ValueError(
            f"level='hopper' on {request.x.device}: its compute capability is not 9.0; expected '' or 'fused'"
        )
    if level == "plain" and request.arithmetic == "float64":
        raise ValueError("level='plain' has no float64 kernels: expected '' or 'torch'")
    return level
