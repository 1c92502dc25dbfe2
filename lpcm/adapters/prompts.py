"""What adapters that compare images with class prompts ask for first. Refuses encoders that read no text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError, UsageError
from lpcm.plugin.contracts import TextPrompts


def class_vectors(text: TextPrompts | None, *, classes: int, width: int, adapter: str) -> NDArray[np.float64]:
    """Take the (c, d) unit class vectors of the prompts.

    Args:
        text: the prompts; ``None`` when the encoder reads no text.
        classes: c, of the labels.
        width: d, of the image features.
        adapter: name of who asks, for the errors.

    Raises:
        UsageError: when ``text`` is ``None``.
        DataError: when it has another number of classes or another width.
    """
    if text is None:
        raise UsageError(
            f"{adapter} needs text features, and this encoder reads no text",
            "choose an encoder that reads text (lpcm-eval ls encoders), or another adapter",
        )
    if len(text.features) != classes:
        raise DataError(f"{adapter} was given prompts of {len(text.features)} classes: expected {classes}")
    if text.features.shape[1] != width:
        raise DataError(
            f"image features have width {width} and text features {text.features.shape[1]}:"
            f" {adapter} needs both in one space"
        )
    return unit(text.features)


def unit(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Each row divided by its Euclidean norm, float64; a row of zeros stays.

    Example:
        >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6, 0.8], [0.0, 0.0]]
    """
    exact = rows.astype(np.float64)
    scaled: NDArray[np.float64] = exact / np.maximum(np.linalg.norm(exact, axis=1, keepdims=True), 1e-12)
    return scaled
