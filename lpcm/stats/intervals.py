"""Intervals: how far a number may be from what it estimates. Refuses to make one up from a single value.

Two questions are kept apart. Over seeds: would another draw of the shots score the same (Student t)? Over
samples: would another test set score the same (bootstrap, Wilson)?
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from lpcm.errors import DataError, UsageError
from lpcm.keys import Key

RESAMPLES = 2000
_CHUNK = 1 << 22  # weights drawn at a time: 32 MiB of int64


class Method(str, Enum):
    """How an interval was made."""

    STUDENT_T = "student-t"
    BOOTSTRAP = "bootstrap"
    WILSON = "wilson"


@dataclass(frozen=True)
class Interval:
    """An interval around an estimate.

    Args:
        low, high: its ends, in the units of the estimate.
        confidence: coverage asked for, in (0, 1).
        method: how it was made.
        n: what it was made from: seeds, or samples.
    """

    low: float
    high: float
    confidence: float
    method: Method
    n: int


def student_t(values: Sequence[float] | NDArray[np.float64], confidence: float = 0.95) -> Interval | None:
    """Interval of the mean of independent values, such as scores of several seeds.

    Args:
        values: (s,) scores.
        confidence: coverage, in (0, 1).

    Returns:
        mean -+ t * sd / sqrt(s), with the standard deviation divided by s - 1 and Student's t for s - 1
        degrees of freedom; ``None`` for a single value, whose spread is unknown.

    Raises:
        DataError: when there is no value, or one is not finite.

    Source: Student 1908.

    Example:
        >>> student_t([0.7])
        >>> interval = student_t([0.70, 0.72, 0.74])
        >>> round(interval.low, 3), round(interval.high, 3)
        (0.67, 0.77)
    """
    _check(confidence)
    x = _finite(values, 1)
    if len(x) == 1:
        return None
    half = float(stdtrit(len(x) - 1, 0.5 + confidence / 2) * x.std(ddof=1) / np.sqrt(len(x)))
    mean = float(x.mean())
    return Interval(mean - half, mean + half, confidence, Method.STUDENT_T, len(x))


def bootstrap(
    outcomes: ArrayLike, key: Key, confidence: float = 0.95, resamples: int = RESAMPLES
) -> Interval:
    """Percentile bootstrap interval of a mean over samples.

    Args:
        outcomes: (n,) per-sample outcomes, or (s, n) of s seeds on the same samples: those are averaged over
            the seeds first, since it is samples that are drawn again.
        key: the draws.
        confidence: coverage, in (0, 1).
        resamples: how many.

    Returns:
        the interval; of a single sample it has no width, and its ``n`` says why.

    Raises:
        DataError: when there is no sample, or an outcome is not finite.

    Source: Efron 1979. A resampled mean depends only on how often each distinct outcome was drawn, so those
    counts are drawn at once from their multinomial distribution.
    """
    _check(confidence)
    means = per_sample(outcomes)
    low, high = np.quantile(
        resampled_means(means, key, resamples), [0.5 - confidence / 2, 0.5 + confidence / 2]
    )
    return Interval(float(low), float(high), confidence, Method.BOOTSTRAP, len(means))


def percentiles(draws: ArrayLike, confidence: float = 0.95) -> Interval:
    """Interval of a statistic that is no mean, from its values on bootstrap resamples.

    Args:
        draws: (b,) values of the statistic, one a resample; at least 2.
        confidence: coverage, in (0, 1).

    Source: Efron 1979, the percentile interval.

    Example:
        >>> interval = percentiles(np.arange(1001) / 1000)
        >>> round(interval.low, 3), round(interval.high, 3)
        (0.025, 0.975)
    """
    _check(confidence)
    x = _finite(draws, 2)
    low, high = np.quantile(x, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(float(low), float(high), confidence, Method.BOOTSTRAP, len(x))


def wilson(right: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a share.

    Args:
        right: how many of
        n: trials succeeded.
        confidence: coverage, in (0, 1).

    Raises:
        DataError: when not 0 <= right <= n with n of 1 or more.

    Source: Wilson 1927.

    Example:
        >>> interval = wilson(8, 10)
        >>> round(interval.low, 3), round(interval.high, 3)
        (0.49, 0.943)
    """
    _check(confidence)
    if not (n >= 1 and 0 <= right <= n):
        raise DataError(f"{right} of {n} were right: expected 0 <= right <= n and n of 1 or more")
    z = float(ndtri(0.5 + confidence / 2))
    share = right / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(max(0.0, centre - half), min(1.0, centre + half), confidence, Method.WILSON, n)


def per_sample(outcomes: ArrayLike) -> NDArray[np.float64]:
    """Outcomes of (n,) samples, or of (s, n) seeds and samples averaged over the seeds: (n,)."""
    x = np.asarray(outcomes, dtype=np.float64)
    if x.ndim == 2 and len(x):
        x = x.mean(0)
    return _finite(x, 1)


def resampled_means(values: NDArray[np.float64], key: Key, resamples: int) -> NDArray[np.float64]:
    """Means of ``resamples`` draws of n from the (n,) values with replacement.

    Raises:
        UsageError: when ``resamples`` is below 1.
    """
    if resamples < 1:
        raise UsageError(f"resamples is {resamples}: expected 1 or more")
    distinct, counts = np.unique(values, return_counts=True)
    generator = key.fold("bootstrap").generator()
    step = max(1, _CHUNK // len(distinct))
    means = [
        generator.multinomial(len(values), counts / len(values), size=min(step, resamples - start)) @ distinct
        for start in range(0, resamples, step)
    ]
    return np.concatenate(means) / len(values)


def _finite(values: ArrayLike, at_least: int) -> NDArray[np.float64]:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) < at_least:
        raise DataError(f"values have shape {x.shape}: expected (n,) with n of {at_least} or more")
    if not np.isfinite(x).all():
        raise DataError(f"{int((~np.isfinite(x)).sum())} of {len(x)} values are not finite")
    return x


def _check(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise UsageError(f"confidence is {confidence}: expected a coverage between 0 and 1, for example 0.95")
