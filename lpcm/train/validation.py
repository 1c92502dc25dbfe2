"""How well images and texts that were not trained on find each other. Chooses the epoch; sees no test row.

Equal scores are in no order: figures are expectations over their orders (``lpcm.metrics.ranking``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lpcm.metrics.ranking import Standings, figures, standings
from lpcm.train.heads import Pair
from lpcm.train.pairs import Pairs

_ROWS = 512  # queries whose distances to a whole gallery are in memory at once


@dataclass(frozen=True)
class Retrieval:
    """Recall of held-out pairs, each in [0, 1].

    Args:
        image_to_text: share of images whose first text is one of theirs.
        text_to_image: share of texts whose first image is one of theirs.
        images, texts: how many there are.
        deep: image to text, among the first 5 and 10.
    """

    image_to_text: float
    text_to_image: float
    images: int
    texts: int
    deep: tuple[float, float] = (0.0, 0.0)

    @property
    def score(self) -> float:
        """What epochs are compared by: the mean of both directions."""
        return (self.image_to_text + self.text_to_image) / 2


@torch.no_grad()
def retrieval(pair: Pair, pairs: Pairs, rows: NDArray[np.bool_] | None = None) -> Retrieval:
    """Recall at 1 of pairs among all of their images and all of their texts.

    Args:
        pair: the heads.
        pairs: held out.
        rows: (n,) images to ask for; the texts of all images stay in the gallery. ``None`` for all.
    """
    device = pair.log_scale.device
    x = pair.images(torch.from_numpy(pairs.images).to(device)).cpu()
    y = pair.texts(torch.from_numpy(pairs.texts).to(device)).cpu()
    return recall(x, y, pairs, pair.similarity, pair.power, rows)


def recall(
    x: torch.Tensor,
    y: torch.Tensor,
    pairs: Pairs,
    similarity: str = "dot",
    power: float = 2.0,
    rows: NDArray[np.bool_] | None = None,
) -> Retrieval:
    """The same for features that are placed already, (n, d) of images and (m, d) of texts."""
    owners, items = pairs.owners, pairs.items
    if rows is not None:
        place = np.cumsum(rows) - 1
        kept = rows[owners]
        owners, items, x = place[owners[kept]], items[kept], x[torch.from_numpy(np.flatnonzero(rows))]
    there = figures(_stand(x, y, (owners, items), similarity, power), [1, 5, 10]).recall
    asked, first = np.unique(items, return_inverse=True)
    back = figures(
        _stand(y[torch.from_numpy(asked)], x, (first.reshape(-1), owners), similarity, power), [1]
    ).recall
    return Retrieval(
        float(there[1].mean()),
        float(back[1].mean()),
        len(x),
        len(y),
        (float(there[5].mean()), float(there[10].mean())),
    )


def _stand(
    x: torch.Tensor,
    y: torch.Tensor,
    matches: tuple[NDArray[np.int64], NDArray[np.int64]],
    similarity: str,
    power: float,
) -> Standings:
    if similarity == "dot":
        return standings(x.float().numpy(), y.float().numpy(), matches)
    p = {"l1": 1.0, "sqeuclidean": 2.0}.get(
        similarity, power
    )  # the order of a distance and of its power is one
    owned: Sequence[NDArray[np.int64]] = _grouped(matches, len(x))
    counts = np.array([len(own) for own in owned])
    above, tied, shared = (np.zeros(len(x), np.int64) for _ in range(3))
    for start in range(0, len(x), _ROWS):
        near = -torch.cdist(x[start : start + _ROWS], y, p=p).numpy()
        for i, scores in enumerate(near):
            own = owned[start + i]
            bar = scores[own].max()
            shared[start + i] = int((scores[own] == bar).sum())
            above[start + i] = int((scores > bar).sum())
            tied[start + i] = int((scores == bar).sum()) - shared[start + i]
    return Standings(above, tied, shared, counts, len(y))


def _grouped(matches: tuple[NDArray[np.int64], NDArray[np.int64]], n: int) -> list[NDArray[np.int64]]:
    of, item = matches
    order = np.argsort(of, kind="stable")
    return np.split(item[order], np.cumsum(np.bincount(of, minlength=n))[:-1])
