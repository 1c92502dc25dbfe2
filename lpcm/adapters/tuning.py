"""What it takes to choose an adapter's settings over several folds at once, such as left-out domains.

An adapter may have

    tune(folds, *, classes, key) -> Tuned

which finds the settings that do best on average over the folds' validation rows, each fold trained on its own
rows and counted alike, by the same search and the same order of preference as its ``fit``. An adapter that
chooses nothing gives ``Tuned()``. Refuses nothing: one without ``tune`` is said to have none by who asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lpcm.adapters.validation import Standing
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts


@dataclass(frozen=True, eq=False)
class Fold:
    """Rows to fit on and rows to judge by; the two do not overlap, and both went through one disentangler.

    Args:
        features: (n, d) float32.
        labels: (n,) int64.
        val: (q, d) float32 and (q,) int64.
        text: the class prompts in the space of the features; ``None`` when the encoder reads no text.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    val: tuple[NDArray[np.float32], NDArray[np.int64]]
    text: TextPrompts | None = None


@dataclass(frozen=True)
class Tuned:
    """What several folds chose.

    Args:
        settings: keywords of the adapter's constructor; empty where nothing is to be chosen.
        facts: what the row says of the choice, as JSON values.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Tunable(Protocol):
    """An adapter whose settings can be chosen over several folds."""

    def tune(self, folds: Sequence[Fold], *, classes: int, key: Key) -> Tuned:
        """Find the settings that stand best on average over one or more folds."""
        ...


@dataclass(frozen=True, order=True)
class MeanStanding:
    """What several folds say of one setting, each fold counted alike; the least is the best.

    Args:
        error: mean share of wrong validation rows.
        log_loss: mean over the folds of the mean log-loss, in nats.
    """

    error: float
    log_loss: float

    @classmethod
    def of(cls, standings: Sequence[Standing]) -> MeanStanding:
        """Average one or more standings.

        Example:
            >>> MeanStanding.of([Standing(1, 0.5, 2), Standing(0, 0.1, 8)])
            MeanStanding(error=0.25, log_loss=0.3)
        """
        # Rounded, so that the order of the folds cannot break a tie.
        error = round(float(np.mean([s.wrong / s.n for s in standings])), 12)
        return cls(error, round(float(np.mean([s.log_loss for s in standings])), 12))

    def facts(self) -> Mapping[str, float]:
        """What the row says of it."""
        return {"folds_accuracy": 1 - self.error, "folds_log_loss": self.log_loss}
