"""The cache model of Tip-Adapter: labelled rows are keys, each adds to its class's logit by its nearness.

With unit queries f (q, d), keys F (n, d), one-hot labels L (n, c) and a weight w of each key:

    votes = exp(-beta (1 - f F')) (w L)          (Zhang et al. 2022, section 3.1)

Refuses to say how the votes are weighed against zero-shot: that is ``lpcm.adapters.cache_search``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpcm.adapters.prompts import unit
from lpcm.errors import DataError

BLOCK = 2**17
"""Affinities handled at a time: 1 MiB of float64, which stays in a core's own cache."""


@dataclass(frozen=True, eq=False)
class Cache:
    """Keys ordered by class, so that a class's votes are the sum of neighbouring rows.

    Args:
        keys: (n, d) float64, of unit norm unless they were trained.
        present: the classes that have keys, ascending.
        starts: first key of each of them.
        order: the row of the shots that each key came from.
        classes: c, with those that have no keys.
    """

    keys: NDArray[np.float64]
    present: NDArray[np.int64]
    starts: NDArray[np.intp]
    order: NDArray[np.intp]
    classes: int

    @classmethod
    def of(cls, keys: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> Cache:
        """Order (n, d) keys by their (n,) labels in [0, c).

        Raises:
            DataError: when there are none.
        """
        if not len(labels):
            raise DataError("a cache was given no labelled rows: expected one or more")
        order = np.argsort(labels, kind="stable")
        present, starts = np.unique(labels[order], return_index=True)
        return cls(keys[order], present, starts, order, classes)

    def blocks(self, queries: NDArray[np.floating]) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Go through (q, d) queries, made unit, a few at a time: which, and 1 - f F' as (n, few)."""
        few = max(BLOCK // len(self.keys), 16)
        for first in range(0, len(queries), few):
            which = slice(first, first + few)
            yield which, 1 - self.keys @ unit(queries[which]).T

    def sum_by_class(
        self, near: NDArray[np.float64], weights: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Add up (n, q) nearness by class, each key's times its (n,) weight: (q, c)."""
        if weights is not None:
            near = near * weights[:, None]
        sums: NDArray[np.float64] = np.zeros((near.shape[1], self.classes))
        sums[:, self.present] = np.add.reduceat(near, self.starts, axis=0).T
        return sums

    def votes(
        self, queries: NDArray[np.floating], beta: float, weights: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """The votes of the keys for (q, d) queries, (q, c).

        Args:
            queries: any length; they are made unit.
            beta: sharpness, above 0: how fast a vote fades with distance.
            weights: (n,) of the keys, in their order here; ``None`` is 1.

        Example:
            >>> cache = Cache.of(np.eye(3), np.array([0, 1, 1]), 2)
            >>> cache.votes(np.eye(3)[:1], beta=np.log(2)).tolist()
            [[1.0, 1.0]]
        """
        found = np.empty((len(queries), self.classes))
        for which, distances in self.blocks(queries):
            found[which] = self.sum_by_class(np.exp(-beta * distances), weights)
        return found
