"""Nearest class mean: each class is the mean of its rows. Refuses rows of no class at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.adapters.prompts import unit
from lpcm.adapters.published import LooksAt, Published
from lpcm.adapters.tuning import Fold, Tuned
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts


class Nearness(str, Enum):
    """What a mean is near by."""

    COSINE = "cosine"  # of the row with the mean of the class's unit rows
    EUCLIDEAN = "euclidean"  # negative squared distance to the mean of the rows as they are


class NearestClassMean:
    """The class whose mean is nearest, by cosine or by Euclidean distance.

        cosine:     logits = f m_c' / (|f| |m_c|),   m_c = mean of f_i / |f_i| over the rows i of class c
        euclidean:  logits = -|f - m_c|^2,           m_c = mean of f_i

    Args:
        nearness: ``"cosine"`` or ``"euclidean"``.

    Source: Mensink et al. 2013 (TPAMI), equations 1 and 2; unit rows are Wang et al.'s 2019 (SimpleShot), L2N.

    Example:
        >>> X, y = np.eye(3, dtype=np.float32), np.arange(3)
        >>> NearestClassMean().fit(X, y, classes=3, key=Key.of(0)).logits(X).argmax(1)
        array([0, 1, 2])
    """

    selection = "none: nothing is chosen"

    published = Published(
        settings_on=LooksAt.NOTHING,
        rule="nothing is chosen",
        source="Mensink et al. 2013",
    )

    def __init__(self, *, nearness: str = Nearness.COSINE.value) -> None:
        if nearness not in tuple(member.value for member in Nearness):
            raise UsageError(f"nearness is {nearness!r}: expected 'cosine' or 'euclidean'")
        self.nearness = Nearness(nearness)

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        classes: int,
        key: Key,
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
        text: TextPrompts | None = None,
    ) -> NearestClassMean:
        """Average the (n, d) features of each of (n,) labels in [0, c); nothing else is looked at.

        A class without rows gets no logit (-inf).

        Raises:
            DataError: when there are no rows.
        """
        if not len(labels):
            raise DataError("ncm was given no rows: expected one or more")
        rows = self._rows(features)
        self._absent = np.setdiff1d(np.arange(classes), labels)
        means = np.zeros((classes, rows.shape[1]))
        np.add.at(means, labels, rows)
        means /= np.maximum(np.bincount(labels, minlength=classes), 1)[:, None]
        self._means = unit(means) if self.nearness is Nearness.COSINE else means
        return self

    def tune(self, folds: Sequence[Fold], *, classes: int, key: Key) -> Tuned:
        """Nothing: there is nothing to choose."""
        return Tuned()

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Cosine with, or negative squared distance to, each class's mean: (q, d) -> (q, c)."""
        rows = self._rows(features)
        logits: NDArray[np.float64]
        if self.nearness is Nearness.COSINE:
            logits = rows @ self._means.T
        else:
            # From the middle of the means, so that features far from 0 do not cancel.
            middle = self._means.mean(0)
            rows, means = rows - middle, self._means - middle
            logits = 2 * rows @ means.T - np.square(rows).sum(1)[:, None] - np.square(means).sum(1)
        logits[:, self._absent] = -np.inf
        return logits

    def report(self) -> Mapping[str, Any]:
        """Tell what nearness is."""
        return {"nearness": self.nearness.value}

    def _rows(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        return unit(features) if self.nearness is Nearness.COSINE else features.astype(np.float64)
