"""What encoders with torch towers share: a device that is there, arithmetic as asked, a quiet construction.

It refuses to run fp32 with fewer bits: TF32, torch's default for convolutions on a GPU, is not fp32.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from lpcm.errors import UsageError
from lpcm.plugin.contracts import Precision

if TYPE_CHECKING:
    import torch


def dtype_of(precision: Precision) -> torch.dtype:
    """Torch's type of number for a precision."""
    import torch

    return {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}[
        precision
    ]


def refuse_absent_device(device: str) -> None:
    """Raise ``UsageError`` when torch sees no such device."""
    import torch

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError(f"--device {device}: torch {torch.__version__} sees no GPU", "Type: --device cpu")


@contextmanager
def inference(device: str) -> Iterator[None]:
    """Run a tower inside: no gradients, and all bits of fp32 in convolutions."""
    import torch

    full: AbstractContextManager[None] = nullcontext()
    if device.startswith("cuda"):
        full = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    with torch.inference_mode(), full:
        yield


@contextmanager
def private_init() -> Iterator[None]:
    """Build a model inside: its random numbers and its log of having no weights are not noticed outside."""
    import torch

    root, silent = logging.getLogger(), logging.NullHandler()
    root.addHandler(silent)  # else the first module-level logging.warning() installs a handler for good
    root.addFilter(_says_something)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        root.removeFilter(_says_something)
        root.removeHandler(silent)


def _says_something(record: logging.LogRecord) -> bool:
    return "No pretrained weights loaded" not in record.getMessage()
