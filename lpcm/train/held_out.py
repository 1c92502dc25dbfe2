"""Validation pairs from training pairs, for sets that bring none. No caption is on both sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lpcm.keys import Key

SHARE = 0.1
"""Of the concepts: images that share a caption, or are linked by others that do, are one."""


def hold_out(captions: Sequence[Sequence[str]], key: Key, share: float = SHARE) -> NDArray[np.bool_]:
    """Which images are for validation, (n,): whole concepts, drawn by key.

    Args:
        captions: of each image.
        key: of the draw.
        share: of the concepts, in (0, 1); at least one is taken where there are two or more.

    Example:
        >>> held = hold_out([["a"], ["b"], ["a"], ["c"]], Key.of(0), 0.3)
        >>> bool(held[0] == held[2]), bool(0 < held.sum() < 4)
        (True, True)
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    place: dict[str, int] = {}
    links = [
        (row, place.setdefault(text, len(place))) for row, texts in enumerate(captions) for text in texts
    ]
    rows, columns = np.array(links, dtype=np.int64).reshape(-1, 2).T
    n = len(captions)
    graph = coo_array((np.ones(len(rows)), (rows, columns + n)), shape=(n + len(place), n + len(place)))
    _, concept = connected_components(graph, directed=False)
    found = np.unique(concept[:n])
    count = min(max(1, round(share * len(found))), len(found) - 1)
    drawn = key.fold("held-out").generator().permutation(found)[: max(count, 0)]
    return np.isin(concept[:n], drawn)
