"""How logits do on validation rows, and which of several does best. Refuses to choose without any."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lpcm.adapters.logistic import log_loss
from lpcm.errors import UsageError

SELECTION = "validation accuracy, then log-loss, then the first of the grid"

Setting = TypeVar("Setting")


@dataclass(frozen=True, order=True)
class Standing:
    """What validation says of one setting; the least is the best.

    Args:
        wrong: rows whose label has not the largest logit.
        log_loss: mean over the rows whose class can be predicted, in nats.
        n: rows.
    """

    wrong: int
    log_loss: float
    n: int

    @property
    def accuracy(self) -> float:
        """Share of rows that are right."""
        return 1 - self.wrong / self.n


def standing(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> Standing:
    """Judge (q, c) logits by (q,) labels. A class that is ruled out (-inf) is wrong, and has no log-loss."""
    wrong = int((logits.argmax(1) != labels).sum())
    possible = np.isfinite(logits[np.arange(len(labels)), labels])
    loss = log_loss(logits[possible], labels[possible]) if possible.any() else 0.0
    return Standing(wrong, loss, len(labels))


def choose(
    offers: Iterable[tuple[Setting, NDArray[np.float64]]], labels: NDArray[np.int64]
) -> tuple[Setting, Standing]:
    """Find the setting whose validation logits stand best; ties go to the first.

    Args:
        offers: each setting with its (q, c) logits; one or more.
        labels: (q,) validation labels.

    Example:
        >>> right, wrong = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
        >>> choose([("a", wrong), ("b", right)], np.array([0]))[0]
        'b'
    """
    judged = [(setting, standing(logits, labels)) for setting, logits in offers]
    return min(judged, key=lambda pair: pair[1])


def validation_rows(
    val: tuple[NDArray[np.float32], NDArray[np.int64]] | None, *, adapter: str, chosen: str, instead: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The validation rows, when there are any.

    Args:
        val: features and labels.
        adapter: name of who asks, for the error.
        chosen: what is chosen on them.
        instead: settings that make the choice unnecessary, as typed after ``--set``.

    Raises:
        UsageError: when there are none.
    """
    if val is None or not len(val[1]):
        raise UsageError(
            f"{adapter} chooses {chosen} on validation rows and was given none",
            f"give it validation rows, or fix what it would choose: --set {instead}",
        )
    return val
