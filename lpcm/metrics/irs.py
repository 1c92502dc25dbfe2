"""Interventional robustness score. Refuses groups too small to have a largest deviation.

Source: Suter, Miladinovic, Schoelkopf and Bauer, "Robustly disentangled causal mechanisms", ICML 2019.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError, UsageError
from lpcm.metrics.comparison import Comparison
from lpcm.metrics.factor_metric import FactorMetric, Measurement, by_component
from lpcm.metrics.memory import remembered

SMALLEST_GROUP = 5
"""Rows that a level needs to count: the one row of a group of one does not deviate from its mean."""


class IRS(FactorMetric):
    """How little a component moves when all but one factor change.

    Args:
        quantile: of the deviations within a group, in (0, 1]; 1 is the paper's largest.
    """

    card = """\
# irs

**Definition.** For each component and factor: among samples of the same level of the factor, the `quantile` (0.99) of
the distances to their mean, averaged over levels by how common they are, in units of the component's largest distance
to its mean over all samples. One minus that, for the factor where it is largest, averaged over the components that
vary with their largest distances as weights:

    IRS_i = 1 - min_j E_(level of j) [q_0.99 |z_i - mean|] / max |z_i - mean|

**Range** 0 to 1, higher is better: when its factor is held, a component does not move.

**Chance.** Not 0: the quantile of a group lies below the largest distance of all samples even where the factor does
nothing, by 0.2 for Gaussian components and a thousand samples, by more for heavy tails, small groups and many factors
to choose from. Only the distance to the permutation null means anything.

**Ceiling.** 1.

**Invariant** to order and sign of components and to the scale of all together; the weights see the scale of single
ones. Not to rotations.

**Known failures.** Rests on the few largest values of each component: one outlier lifts it. Made for factors that are
independent and crossed; where they are correlated, holding one holds others. Levels of fewer than 5 samples are left
out, since a group of one never moves: without bins a continuous factor would score 1 for any code.

**Source.** Suter et al. 2019, as an estimate from a fixed sample; quantile as disentanglement_lib.
"""

    def __init__(self, *, quantile: float = 0.99) -> None:
        if not 0 < quantile <= 1:
            raise UsageError(f"quantile is {quantile}: expected above 0 and at most 1, for example 0.99")
        self.quantile = quantile

    def _measure(self, comparison: Comparison) -> Measurement:
        active = comparison.active
        if not active.any():
            return Measurement(0.0, {"left_out": comparison.k})
        scores = robustness(comparison, self.quantile)
        largest = np.abs(comparison.codes - comparison.codes.mean(0)).max(0)
        each = scores.max(0)
        value = float(np.average(each[active], weights=largest[active]))
        parents = [comparison.factors.names[place] for place in scores.argmax(0)]
        counts = {name: parents.count(name) for name in comparison.factors.names}
        return Measurement(
            value, {**by_component(each), "components_of_factor": counts, "left_out": int((~active).sum())}
        )


@remembered
def robustness(comparison: Comparison, quantile: float) -> NDArray[np.float64]:
    """Score of every factor for every component, (f, k) in [0, 1]; 0 for constant components.

    Raises:
        DataError: when a factor has no level of at least 5 samples.
    """
    codes = comparison.codes
    largest = np.abs(codes - codes.mean(0)).max(0)
    found = np.zeros((comparison.f, comparison.k))
    for factor in range(comparison.f):
        levels = comparison.levels(factor)
        counts = np.bincount(levels)
        kept = np.flatnonzero(counts >= SMALLEST_GROUP)
        if not len(kept):
            raise DataError(
                f"no value of factor {comparison.factors.names[factor]!r} has {SMALLEST_GROUP} samples: expected "
                "groups in which a component can move"
            )
        moved = np.zeros(comparison.k)
        for level in kept:
            group = codes[levels == level]
            moved += counts[level] * np.quantile(np.abs(group - group.mean(0)), quantile, axis=0)
        moved /= counts[kept].sum()
        # A group's mean is its own, so that it can deviate by more than anything does from the overall mean.
        found[factor] = 1 - np.minimum(
            np.divide(moved, largest, out=np.ones_like(moved), where=largest > 0), 1
        )
    found[:, ~comparison.active] = 0.0
    return found
