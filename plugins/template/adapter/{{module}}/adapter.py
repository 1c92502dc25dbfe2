"""The nearest class mean. Chooses its one setting on validation; test rows are never seen while fitting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from lpcm.errors import UsageError
from lpcm.keys import Key
from lpcm.plugin import TextPrompts
from numpy.typing import NDArray


class NearestMean:
    """Logits are minus half the squared distance to each class mean, the means shrunk to their common mean.

    Args:
        shares: shares of the common mean to choose from, each in [0, 1).

    Raises:
        UsageError: when a share is out of range.
    """

    selection = "validation accuracy, then the smaller share"

    def __init__(self, *, shares: Sequence[float] = (0.0, 0.1, 0.3)) -> None:
        if not shares or not all(0 <= share < 1 for share in shares):
            raise UsageError(
                f"shares is {list(shares)}: expected numbers from 0 to below 1"
            )
        self.shares = tuple(sorted(shares))

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        classes: int,
        key: Key,
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
        text: TextPrompts | None = None,
    ) -> NearestMean:
        """Fit on (n, d) features and (n,) labels; a class without rows gets the logit -inf."""
        rows = features.astype(np.float64)
        self._present = np.isin(np.arange(classes), labels)
        common = rows.mean(axis=0)
        own = np.zeros((classes, rows.shape[1]))
        for label in np.flatnonzero(self._present):
            own[label] = rows[labels == label].mean(axis=0)
        accuracies = []
        for share in self.shares:
            self._means = (1 - share) * own + share * common
            accuracies.append(
                1.0
                if val is None
                else float((self.logits(val[0]).argmax(axis=1) == val[1]).mean())
            )
        best = int(np.argmax(accuracies))
        self._means = (1 - self.shares[best]) * own + self.shares[best] * common
        self._facts = {
            "share": self.shares[best],
            "val_accuracy": None if val is None else accuracies[best],
        }
        return self

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of each class, (q, d) -> (q, c)."""
        rows = features.astype(np.float64)
        # Half the squared distance without the term that all classes share.
        scores = rows @ self._means.T - (self._means**2).sum(axis=1) / 2
        scores[:, ~self._present] = -np.inf
        return scores

    def report(self) -> Mapping[str, Any]:
        """What the row says of the fit."""
        return dict(self._facts)
