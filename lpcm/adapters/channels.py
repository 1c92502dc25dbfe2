"""APE's prior refinement: which features separate the classes. Refuses to look at validation or test rows.

Each feature k is scored by how little different classes agree on it and how much the prompts vary in it:

    J_k = -w S_k + (1 - w) V_k,
    S_k = mean of x_ik x_jk over pairs (i, j) of different classes,   V_k = variance of T_ck over classes.

Rows x are the class vectors T, alone or with the shots.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def similarity(rows: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """S, the mean product over ordered pairs of different classes, for each of d features.

    All pairs less those within a class: (sum of all)^2 - sum over classes of (sum of the class)^2, so that no
    pair is visited.

    Args:
        rows: (n, d).
        labels: (n,) in [0, c).
        classes: c.

    Source: Zhu et al. 2023 (ICCV), prior refinement.

    Example:
        >>> similarity(np.array([[1.0], [2.0], [3.0]]), np.array([0, 1, 1]), 2)
        array([2.5])
    """
    sums = np.zeros((classes, rows.shape[1]))
    np.add.at(sums, labels, rows)
    counts = np.bincount(labels, minlength=classes)
    pairs = len(rows) ** 2 - int(np.square(counts).sum())
    across: NDArray[np.float64] = np.square(sums.sum(0)) - np.square(sums).sum(0)
    return across / max(pairs, 1)


def criterion(
    vectors: NDArray[np.float64],
    weight: float,
    shots: tuple[NDArray[np.float64], NDArray[np.int64]] | None = None,
) -> NDArray[np.float64]:
    """J, larger for features that separate the classes better, (d,).

    Args:
        vectors: (c, d) unit class vectors; 2 or more.
        weight: w in [0, 1], of the similarity.
        shots: unit rows and labels that the similarity also looks at; ``None`` for the prompts alone.
    """
    c = len(vectors)
    rows, labels = vectors, np.arange(c)
    if shots is not None:
        rows, labels = np.concatenate([vectors, shots[0]]), np.concatenate([labels, shots[1]])
    found: NDArray[np.float64] = -weight * similarity(rows, labels, c)
    found += (1 - weight) * vectors.var(axis=0, ddof=1)
    return found


def best_features(scores: NDArray[np.float64], share: float) -> NDArray[np.intp]:
    """Places of the best share of the features, ascending; one at least. Equal ones go to the first.

    Example:
        >>> best_features(np.array([3.0, 1.0, 2.0, 2.0]), 0.5).tolist()
        [0, 2]
    """
    count = max(round(share * len(scores)), 1)
    return np.sort(np.argsort(-scores, kind="stable")[:count])
