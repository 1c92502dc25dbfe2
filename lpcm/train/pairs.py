"""Pairs as the training sees them: features of images, features of distinct texts, and which belongs to which.

A text that several images share is one text here, so that images of one caption or concept are positives of each
other. Refuses images without a caption, a single pair, captions that are all the same, and NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError, UsageError

Encode = Callable[[list[str]], NDArray[np.floating]]
"""m distinct texts -> (m, e) features."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Images and their texts.

    Args:
        images: (n, d) float32 features.
        texts: (m, e) float32 features of distinct texts.
        owners: (p,) int64 row of the image of each pair, ascending.
        items: (p,) int64 row of its text.

    Raises:
        DataError: for a value that is not finite, an image without a text, fewer than two texts.

    Example:
        >>> pairs = Pairs.of(np.eye(3, dtype=np.float32), [["a"], ["b"], ["a"]], lambda texts: np.eye(len(texts)))
        >>> pairs.items.tolist(), len(pairs.texts)
        ([0, 1, 0], 2)
    """

    images: NDArray[np.float32]
    texts: NDArray[np.float32]
    owners: NDArray[np.int64]
    items: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name, rows in (("image", self.images), ("text", self.texts)):
            if rows.ndim != 2 or not rows.size:
                raise DataError(
                    f"{name} features have shape {rows.shape}: expected (n, d), n and d 1 or more"
                )
            bad = ~np.isfinite(rows).all(axis=1)
            if bad.any():
                raise DataError(
                    f"{name} features hold NaN or infinity in {int(bad.sum())} of {len(rows)} rows, "
                    f"first row {int(bad.argmax())}",
                    "half precision overflows in some towers: extract them with --precision fp32",
                )
        if len(np.unique(self.owners)) != len(self.images):
            raise DataError(f"{len(self.images) - len(np.unique(self.owners))} images have no text")

    @classmethod
    def of(cls, images: NDArray[np.floating], captions: Sequence[Sequence[str]], encode: Encode) -> Pairs:
        """Pairs of images and captions; each distinct caption is encoded once.

        Args:
            images: (n, d) features.
            captions: of each image, one or more.
            encode: m distinct texts -> (m, e) features.

        Raises:
            DataError: for an image without a caption, and as the class says.
        """
        without = [row for row, texts in enumerate(captions) if not any(text.strip() for text in texts)]
        if without:
            raise DataError(
                f"{len(without)} of {len(captions)} images have no caption, first row {without[0]}",
                "give each image at least one caption, or leave it out",
            )
        place: dict[str, int] = {}
        owners, items = [], []
        for row, texts in enumerate(captions):
            for text in dict.fromkeys(" ".join(text.split()) for text in texts if text.strip()):
                owners.append(row)
                items.append(place.setdefault(text, len(place)))
        return cls(
            np.ascontiguousarray(images, dtype=np.float32),
            np.ascontiguousarray(encode(list(place)), dtype=np.float32),
            np.array(owners, dtype=np.int64),
            np.array(items, dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.images)

    def for_training(self, batch: int | None) -> Pairs:
        """These pairs, once it is known that something can be learnt from them.

        Raises:
            DataError: for one pair only, or one text only.
            UsageError: for a batch that is larger than the set.
        """
        if len(self.images) < 2:
            raise DataError(
                f"there is {len(self.images)} pair: expected two or more, or there is nothing to contrast"
            )
        if len(np.unique(self.items)) < 2:
            raise DataError(
                f"all {len(self.images)} images have the same caption: expected two different ones or more"
            )
        if batch is not None and batch > len(self.images):
            raise UsageError(
                f"batch is {batch} and there are {len(self.images)} pairs",
                f"type --batch all, or a number up to {len(self.images)}",
            )
        return self

    def join(self, other: Pairs) -> Pairs:
        """Both sets in one; their texts are taken to be different ones."""
        return Pairs(
            np.concatenate([self.images, other.images]),
            np.concatenate([self.texts, other.texts]),
            np.concatenate([self.owners, other.owners + len(self.images)]),
            np.concatenate([self.items, other.items + len(self.texts)]),
        )
