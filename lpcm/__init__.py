"""lpcm: a fused contrastive loss, and an honest evaluation of disentangled CLIP representations."""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING
from typing import Any as _Any

if TYPE_CHECKING:
    from lpcm.loss import ClipLoss, SigLipLoss, contrastive_loss, sigmoid_loss

__all__ = ["ClipLoss", "SigLipLoss", "__version__", "contrastive_loss", "sigmoid_loss"]
__version__ = _version("lpcm")

# Where each public name lives; resolved on first use, so that `import lpcm` stays instant and needs no torch.
_HOME = dict.fromkeys(("ClipLoss", "SigLipLoss", "contrastive_loss", "sigmoid_loss"), "lpcm.loss")


def __getattr__(name: str) -> _Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lpcm' has no attribute {name!r}")
    value = getattr(_import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
