"""Means over strata that count alike, such as target domains. Refuses to draw a stratum more often than it was."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.stats.intervals import RESAMPLES, per_sample, resampled_means


def stratified_draws(
    strata: Mapping[str, NDArray[np.float64]], key: Key, resamples: int = RESAMPLES
) -> NDArray[np.float64]:
    """Resample each stratum within itself and average the means, each stratum counted alike.

    It says how far the average may be off for other samples of the same strata, and nothing of other strata.

    Args:
        strata: (n,) per-sample values of each, by name; one or more.
        key: the draws; folded with a stratum's name.
        resamples: how many, b.

    Returns:
        (b,) resampled averages.

    Raises:
        DataError: when there is no stratum, one is empty, or a value is not finite.

    Source: Davison and Hinkley 1997, section 3.2.

    Example:
        >>> draws = stratified_draws({"a": np.ones(3), "b": np.zeros(300)}, Key.of(0), 5)
        >>> draws.tolist()
        [0.5, 0.5, 0.5, 0.5, 0.5]
    """
    if not strata:
        raise DataError("there is no stratum: expected one or more")
    drawn = [resampled_means(per_sample(x), key.fold(name), resamples) for name, x in strata.items()]
    mean: NDArray[np.float64] = np.mean(drawn, axis=0)
    return mean
