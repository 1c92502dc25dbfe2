"""What all disentanglement metrics share: a measurement with its details, a permutation null, an example.

Refuses to know a definition: each subclass is one metric with its own card.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.metrics.chance import permuted
from lpcm.metrics.comparison import Comparison
from lpcm.plugin.truth import FactorKind, Factors, Truth

PERMUTATIONS = 8
"""Permutations of a null: its own spread, relative to perfect, is a few thousandths for a thousand samples."""

_NOISE = 64

LISTED = 256
"""Components whose values a row lists; of wider codes it gives the number only."""


@dataclass(frozen=True, eq=False)
class Measurement:
    """A score with what it is made of.

    Args:
        value: the score.
        details: JSON values, for example the part of each factor and component.
    """

    value: float
    details: Mapping[str, Any] = field(default_factory=dict)


class FactorMetric(ABC):
    """A metric of codes (n, k) against factors (n, f) of mixed kinds.

    Attributes:
        card: as ``lpcm.plugin.contracts.Metric`` asks.
        truth: what it is scored against.
        range: its lowest and highest value, as in the record.
        least_factors: how many factors it needs.
    """

    card: ClassVar[str]
    truth: ClassVar[Truth] = Truth.FACTORS
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    least_factors: ClassVar[int] = 1

    def __call__(self, truth: Factors | NDArray[np.generic], prediction: NDArray[np.floating]) -> float:
        """The score.

        Args:
            truth: ``Factors``, or an array (n, f): whole numbers are categorical, others continuous.
            prediction: (n, k) codes.

        Raises:
            DataError: for what cannot be scored, see ``Comparison.in_order`` and ``least_factors``.
        """
        return self.measure(Comparison.of(truth, prediction)).value

    def null(self, key: Key, truth: Factors | NDArray[np.generic], prediction: NDArray[np.floating]) -> float:
        """Mean score of the same codes given to other samples."""
        comparison = Comparison.of(truth, prediction)
        values = [
            self.measure(permuted(comparison, key.fold("null", draw))).value for draw in range(PERMUTATIONS)
        ]
        return float(np.mean(values))

    def measure(self, comparison: Comparison) -> Measurement:
        """The score with its details. Raises ``DataError`` when there are too few factors."""
        if comparison.f < self.least_factors:
            raise DataError(
                f"{type(self).__name__} was given {comparison.f} factor: expected at least {self.least_factors}, "
                "since it asks whether a component is about one factor and not about others"
            )
        return self._measure(comparison)

    def example(self, key: Key) -> tuple[Factors, NDArray[np.float64], NDArray[np.float64]]:
        """Factors on a full grid, themselves as codes, and codes that know nothing."""
        return grid_example(key)

    @abstractmethod
    def _measure(self, comparison: Comparison) -> Measurement: ...


def grid_example(key: Key) -> tuple[Factors, NDArray[np.float64], NDArray[np.float64]]:
    """480 samples of a 6 x 4 x 2 grid: two continuous factors and a category, exactly independent."""
    cells = np.stack(np.meshgrid(np.arange(6.0), np.arange(4.0), np.arange(2.0)), axis=-1).reshape(-1, 3)
    generator = key.fold("example").generator()
    values = generator.permutation(np.tile(cells, (10, 1)))
    kinds = (FactorKind.CONTINUOUS, FactorKind.CONTINUOUS, FactorKind.CATEGORICAL)
    factors = Factors(("size", "depth", "side"), kinds, values)
    # More components of noise than factors: what single ones do by luck evens out.
    return factors, values.copy(), generator.standard_normal((len(values), _NOISE))


def by_factor(comparison: Comparison, values: Sequence[float] | NDArray[np.float64]) -> dict[str, float]:
    """Values of each factor by its name, to four digits."""
    return {
        name: round(float(value), 4) for name, value in zip(comparison.factors.names, values, strict=True)
    }


def by_component(values: NDArray[np.float64]) -> dict[str, Any]:
    """Values of each component, to four digits, where there are not too many to read."""
    if len(values) > LISTED:
        return {"components": len(values)}
    return {"per_component": [round(float(value), 4) for value in values]}


def entropy_share(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 - entropy of each row's weights, in units of the largest possible: 1 for one weight, 0 for equal ones.

    Rows without any weight are 0; with a single column there is nothing to spread over, and rows are 1.
    """
    totals = weights.sum(1, keepdims=True)
    shares = np.divide(weights, totals, out=np.zeros_like(weights), where=totals > 0)
    if weights.shape[1] == 1:
        return np.asarray(totals[:, 0] > 0, dtype=np.float64)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    concentrated = 1 + (shares * logs).sum(1) / np.log(weights.shape[1])
    # Rounding must not take a row of equal weights below 0.
    found: NDArray[np.float64] = np.where(totals[:, 0] > 0, np.maximum(concentrated, 0.0), 0.0)
    return found
