"""What the done cells of a group say of their test side, averaged over seeds. Refuses to compare unlike sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lpcm.keys import Key
from lpcm.stats.intervals import Interval, bootstrap, percentiles
from lpcm.stats.paired import Difference, paired_bootstrap, paired_draws
from lpcm.study.rows import RowStatus

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The same draws for every group: equal outcomes have equal intervals.
SAMPLES = Key.of(0).fold("summary", "samples")
PAIRED = Key.of(0).fold("summary", "paired")


@dataclass(frozen=True, eq=False)
class Evidence:
    """The done cells of a group.

    Args:
        value: the score.
        outcomes: (q,) per-sample outcomes, or ``None``.
        draws: (b,) scores on the resamples, or ``None``.
    """

    value: float
    outcomes: NDArray[np.float64] | None
    draws: NDArray[np.float64] | None

    @classmethod
    def of(cls, members: Sequence[Mapping[str, Any]], outcomes: Mapping[str, Path]) -> Evidence | None:
        """Read what the done rows among ``members`` left; ``None`` when none is done."""
        from safetensors.numpy import load_file

        done = done_of(members)
        if not done:
            return None
        kept = [load_file(outcomes[row["key"]]) for row in done]

        def mean(name: str) -> NDArray[np.float64] | None:
            if not all(name in tensors for tensors in kept):
                return None
            if len({tensors[name].shape for tensors in kept}) > 1:
                return None  # seeds with test sides of their own share no samples
            average: NDArray[np.float64] = np.mean([tensors[name] for tensors in kept], axis=0)
            return average

        return cls(float(np.mean([row["value"] for row in done])), mean("outcomes"), mean("draws"))

    def interval(self) -> dict[str, Any] | None:
        """The interval over test samples, as a row says it."""
        if self.outcomes is not None:
            return described(bootstrap(self.outcomes, SAMPLES))
        return None if self.draws is None else described(percentiles(self.draws))

    def difference(self, other: Evidence) -> Difference | None:
        """Paired difference to another group; ``None`` when the two are not of the same test side."""
        if self.outcomes is not None and other.outcomes is not None:
            if self.outcomes.shape != other.outcomes.shape:
                return None
            return paired_bootstrap(self.outcomes, other.outcomes, PAIRED)
        if self.draws is not None and other.draws is not None and self.draws.shape == other.draws.shape:
            return paired_draws(self.value - other.value, self.draws, other.draws)
        return None


def done_of(members: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows that are done."""
    return [row for row in members if row["status"] == RowStatus.DONE.value]


def described(interval: Interval | Difference) -> dict[str, Any]:
    """An interval as a row says it."""
    return {
        "low": float(interval.low),
        "high": float(interval.high),
        "confidence": interval.confidence,
        "method": interval.method.value,
    }


def told_difference(control: str, difference: Difference) -> dict[str, Any]:
    """A difference to a control as a row says it."""
    return {
        "to": control,
        "value": difference.value,
        **described(difference),
        "p_value": difference.p_value,
    }
