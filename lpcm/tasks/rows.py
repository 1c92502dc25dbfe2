"""Which rows a few-shot cell trains, validates and unmixes on. Refuses to look at features.

Shots and validation come from ``lpcm.datasets.splits``; the draw depends on labels and key alone, so every
encoder, disentangler and adapter sees the same rows, and a cell's rows do not depend on which other shot
counts a study asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from lpcm.datasets.splits import VAL_SHOTS_AT_MOST, ValPool, draw_shots, draw_val
from lpcm.keys import Key


class ValSource(str, Enum):
    """Where validation rows come from."""

    TRAIN = "train"
    VAL = "val"


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a cell.

    Args:
        shots: rows of train, (c * k,).
        val: rows of the split that ``val_source`` names, (c * min(k, 4),).
        val_source: the dataset's own validation split, or train.
        unlabelled: rows of train that may be used without their labels: all but those kept for validation.
    """

    shots: NDArray[np.intp]
    val: NDArray[np.intp]
    val_source: ValSource
    unlabelled: NDArray[np.intp]


def draw_rows(
    train: NDArray[np.int64],
    val: NDArray[np.int64] | None,
    shots: int,
    key: Key,
    classes: Sequence[str],
) -> Rows:
    """Draw the rows of one cell.

    Args:
        train: (n,) labels of the train split.
        val: labels of the validation split; ``None`` when the dataset has none.
        shots: k, rows a class.
        key: of the dataset and the seed.
        classes: c names.

    Raises:
        DataError: when a class has too few rows; all such classes are named.
    """
    drawn = draw_shots(train, shots, key, classes)
    if val is not None:
        held = draw_val(val, shots, key, classes, pool=ValPool.OWN)
        return Rows(drawn, held, ValSource.VAL, np.arange(len(train)))
    held = draw_val(train, shots, key, classes)
    # Where classes are large enough, the rows of the largest validation draw stay unseen at every shot count:
    # then one unmixing serves them all. It contains the smaller draws.
    enough = np.bincount(train, minlength=len(classes)).min() >= 2 * VAL_SHOTS_AT_MOST
    unseen = draw_val(train, VAL_SHOTS_AT_MOST, key, classes) if enough else held
    return Rows(drawn, held, ValSource.TRAIN, np.setdiff1d(np.arange(len(train)), unseen))
