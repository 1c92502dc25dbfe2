"""Joining an ImageNet classifier and a sentence encoder without training (ConSE). Refuses to tune itself.

An image becomes the mean of the text vectors of its k most probable ImageNet classes, weighted by their
probabilities, and scaled to unit norm: Norouzi et al., "Zero-Shot Learning by Convex Combination of Semantic
Embeddings", arXiv 1312.5650, eq. 4. k and the temperature tau are fixed: no data chose them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lpcm_lite.packages import package_folder

if TYPE_CHECKING:
    import torch

TOP = 10
"""k of the equation: how many classes an image is a mixture of."""

TEMPERATURE = 1.0
"""tau: logits are divided by it before the softmax."""


def class_names() -> tuple[str, ...]:
    """Names of the 1,000 ImageNet classes in the order of the classifier's outputs, from open_clip."""
    from open_clip import IMAGENET_CLASSNAMES

    return tuple(IMAGENET_CLASSNAMES)


def class_names_file() -> Path:
    """Find the file that holds the class names without importing it (open_clip imports torch).

    Raises:
        MissingError: when open_clip is not installed.
    """
    return package_folder("open_clip", "open_clip_torch>=3.0") / "zero_shot_metadata.py"


def mix(logits: torch.Tensor, class_vectors: torch.Tensor) -> torch.Tensor:
    """Mixtures of class vectors by probability.

    Args:
        logits: (n, c) float32, scores of the classes.
        class_vectors: (c, d) float32, the unit text vector of each class.

    Returns:
        (n, d) float32, rows of unit norm.

    Source:
        arXiv 1312.5650, eq. 4; its division by the sum of the k probabilities is undone by the scaling.

    Example:
        >>> import torch
        >>> vectors = torch.eye(12)
        >>> row = mix(torch.arange(12.0)[None] * 50, vectors)[0]
        >>> row.argmax().item(), round(row.norm().item(), 5)
        (11, 1.0)
    """
    import torch

    probabilities = (logits / TEMPERATURE).softmax(dim=1)
    kept = probabilities.topk(TOP, dim=1)
    # A dense (n, c) matrix: one product with the class vectors, without an (n, k, d) gather.
    weights = torch.zeros_like(probabilities).scatter_(1, kept.indices, kept.values)
    return torch.nn.functional.normalize(weights @ class_vectors, dim=1)
