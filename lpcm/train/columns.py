"""Which text stands for which image in a batch, so that no positive is ever counted as a negative.

The loss takes one column an image. Where an image has several captions one is drawn, and none of the others may be a
column of the same batch, since it would be pushed away: an image for which that cannot be had is left out this time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lpcm.train.pairs import Pairs


class Columns:
    """Draws the columns of batches.

    Args:
        pairs: from which.

    Example:
        >>> pairs = Pairs(np.eye(3, dtype=np.float32), np.eye(2, dtype=np.float32), np.arange(3), np.array([1, 0, 1]))
        >>> rows, texts, labels = Columns(pairs).draw(np.array([2, 1, 0]), np.random.Generator(np.random.Philox(key=0)))
        >>> texts.tolist(), labels.tolist()
        ([0, 1], [1, 0, 1])
    """

    def __init__(self, pairs: Pairs) -> None:
        counts = np.bincount(pairs.owners, minlength=len(pairs))
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._items = pairs.items
        self._single = bool((counts == 1).all())

    def draw(
        self, rows: NDArray[np.int64], generator: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Columns of a batch.

        Args:
            rows: (b,) images.
            generator: draws captions where there are several.

        Returns:
            Images that take part, texts that are columns, and the column of each image.
        """
        if self._single:
            chosen = self._items[self._starts[rows]]
        else:
            chosen = self._draw(rows, generator)
            rows, chosen = rows[chosen >= 0], chosen[chosen >= 0]
        texts, labels = np.unique(chosen, return_inverse=True)
        return rows, texts, labels.reshape(-1).astype(np.int64)

    def _draw(self, rows: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
        """A text for each image, -1 for those left out."""
        columns: set[int] = set()
        forbidden: set[int] = set()  # texts of an image that was given another
        chosen = np.full(len(rows), -1, np.int64)
        for place, row in enumerate(rows.tolist()):
            own = self._items[self._starts[row] : self._starts[row + 1]]
            there = [text for text in own.tolist() if text in columns]
            free = [text for text in own.tolist() if text not in forbidden]
            if len(there) > 1 or not (there or free):
                continue
            text = there[0] if there else free[int(generator.integers(len(free)))]
            chosen[place] = text
            columns.add(text)
            forbidden.update(other for other in own.tolist() if other != text)
        return chosen
