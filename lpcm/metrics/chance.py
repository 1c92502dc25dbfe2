"""What chance, a rotation and the factors themselves would score: nulls, floors, ceilings and resamples.

Refuses to draw by anything but the key and the number of samples, so that all codes of the same samples meet the
same permutations and the same halves, and can be compared pair by pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from lpcm.disentanglers.haar import haar
from lpcm.keys import Key
from lpcm.metrics.comparison import MIN_ROWS, Comparison, varying
from lpcm.plugin.truth import FactorKind


def permuted(comparison: Comparison, key: Key) -> Comparison:
    """Codes of other samples: what is left is what chance gives, factors and codes being each as they were."""
    order = key.fold("permutation").generator().permutation(comparison.n)
    return comparison.with_codes(comparison.codes[order])


def rotated(comparison: Comparison, key: Key) -> Comparison:
    """The same codes, each of variance 1, turned by a random orthogonal map: as informative, on no axes.

    Of whitened codes, such as those of FastICA, this is the null of "any axes would have done".
    """
    rotation = haar(comparison.k, key.fold("rotation").generator())
    return comparison.with_codes(comparison.standard @ rotation)


def halves(comparison: Comparison, key: Key, count: int) -> Iterator[Comparison]:
    """Random halves of the samples, without repeats, on which every factor still varies.

    The mean of a half without repeats has the variance of the mean of all rows drawn with repeats:
    (sigma^2 / (n / 2)) (1 - 1/2) = sigma^2 / n. So the spread over halves is that of the bootstrap (half-samples,
    McCarthy 1969), and no row occurs twice: a bootstrap's doubles would make neighbours out of copies and put the
    same row into what is fitted and what is held out.

    A half on which a factor is constant is passed over; that depends on factors and key alone.
    """
    if comparison.n // 2 < MIN_ROWS:
        return
    for draw in range(count):
        order = key.fold("half", draw).generator().permutation(comparison.n)
        half = comparison.take(np.sort(order[: comparison.n // 2]))
        if varying(half.factors).all():
            yield half


def spread(value: float, on_halves: NDArray[np.float64], span: tuple[float, float]) -> NDArray[np.float64]:
    """Draws of a metric around its value: scores on halves, moved so that their mean is the value.

    A score on half of the rows is biased otherwise than on all of them (entropies and held-out fits need rows);
    the halves are asked for their spread only. Draws stay within ``span``, the range of the metric.
    """
    moved: NDArray[np.float64] = np.clip(value + on_halves - on_halves.mean(), *span)
    return moved


def ideal(comparison: Comparison) -> Mapping[str, Comparison]:
    """The factors themselves as codes: ``numbers``, a code a factor, and ``indicators``, a code a target.

    They show what a metric gives to perfect codes on these very samples, with the correlations that the factors
    have and the number of samples that there are.
    """
    indicators = [
        comparison.targets(place)
        if comparison.kind(place) is not FactorKind.CONTINUOUS
        else comparison.factors.values[:, [place]]
        for place in range(comparison.f)
    ]
    return {
        "numbers": comparison.with_codes(comparison.factors.values.copy()),
        "indicators": comparison.with_codes(np.column_stack(indicators)),
    }
