"""lpcm: a fused contrastive loss, and an honest evaluation of disentangled CLIP representations."""

from importlib.metadata import version as _version

__version__ = _version("lpcm")
