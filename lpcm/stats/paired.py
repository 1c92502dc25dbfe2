"""Paired differences: two methods on the very same samples. Refuses outcomes that do not belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.stats.intervals import RESAMPLES, Method, per_sample, resampled_means


@dataclass(frozen=True)
class Difference:
    """A difference of two means over the same samples, with its interval.

    Args:
        value: mean of the first minus mean of the second.
        low, high: ends of the interval of the difference.
        confidence: coverage asked for, in (0, 1).
        method: how the interval was made.
        p_value: two-sided, of no difference.
        n: samples.
    """

    value: float
    low: float
    high: float
    confidence: float
    method: Method
    p_value: float
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside the interval."""
        return not self.low <= 0 <= self.high


def paired_bootstrap(
    first: ArrayLike, second: ArrayLike, key: Key, confidence: float = 0.95, resamples: int = RESAMPLES
) -> Difference:
    """Bootstrap the difference of two methods over the samples that both answered.

    Pairing removes what a sample's own difficulty adds to both: the interval is that of the per-sample
    differences, far narrower than two intervals side by side suggest.

    Args:
        first: (n,) per-sample outcomes, or (s, n) of s seeds, which are averaged.
        second: those of the other method; its number of seeds may differ.
        key: the draws.
        confidence: coverage of the interval, in (0, 1).
        resamples: how many.

    Raises:
        DataError: when the two are of different samples, or an outcome is not finite.

    Source: Efron and Tibshirani 1993, chapters 13 and 16.

    Example:
        >>> paired_bootstrap([1, 1, 1, 0], [1, 0, 1, 0], Key.of(0)).value
        0.25
    """
    a, b = per_sample(first), per_sample(second)
    if len(a) != len(b):
        raise DataError(f"the two methods have {len(a)} and {len(b)} samples: expected the same samples")
    differences = a - b
    return _difference(
        float(differences.mean()), resampled_means(differences, key, resamples), confidence, len(a)
    )


def paired_draws(value: float, first: ArrayLike, second: ArrayLike, confidence: float = 0.95) -> Difference:
    """The difference of two methods whose metric is no mean, from its values on the same bootstrap resamples.

    Args:
        value: metric of the first minus metric of the second, on the samples themselves.
        first: (b,) values of the first method on b resamples.
        second: (b,) values of the second method on the very same resamples.
        confidence: coverage of the interval, in (0, 1).

    Raises:
        DataError: when the two were not drawn equally often, or a value is not finite.

    Source: Efron and Tibshirani 1993, chapters 13 and 16.

    Example:
        >>> paired_draws(0.25, [0.9, 0.8, 0.7], [0.6, 0.6, 0.5]).excludes_zero
        True
    """
    a, b = per_sample(first), per_sample(second)
    if len(a) != len(b):
        raise DataError(f"the two methods have {len(a)} and {len(b)} draws: expected the same resamples")
    return _difference(value, a - b, confidence, len(a))


def _difference(value: float, draws: NDArray[np.float64], confidence: float, n: int) -> Difference:
    low, high = np.quantile(draws, [0.5 - confidence / 2, 0.5 + confidence / 2])
    # A draw that is exactly 0 speaks for neither side, and no p-value is 0: (count + 1) / (resamples + 1).
    side = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    p_value = min(1.0, 2 * (side + 1) / (len(draws) + 1))
    return Difference(value, float(low), float(high), confidence, Method.BOOTSTRAP, p_value, n)
