"""Modularity: is a component about one factor? Refuses to count components that carry nothing.

Source: Ridgeway and Mozer, "Learning deep disentangled embeddings with the F-statistic loss", NeurIPS 2018,
section 3.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from lpcm.metrics.comparison import Comparison
from lpcm.metrics.factor_metric import FactorMetric, Measurement, by_component
from lpcm.metrics.information import Binning, binning_of, histogram_information
from lpcm.metrics.mig import checked_bins


class Modularity(FactorMetric):
    """Mean over components of how far their mutual information is with one factor only.

    Args:
        bins: of a component, 2 or more.
        binning: ``"width"`` or ``"quantile"``.
    """

    least_factors: ClassVar[int] = 2
    card = """\
# modularity

**Definition.** For component i with mutual information m_ij with factor j, and largest of them t_i: one minus the
mean squared share of the other factors,

    1 - sum_(j not the largest) m_ij^2 / (t_i^2 (f - 1)),

averaged over the components that vary and know anything. Mutual information as in `mig`.

**Range** 0 to 1, higher is better: each component knows of one factor.

**Chance.** Far from 0: of f estimates that are all noise one is the largest, and squares make it stand out. With few
rows components that know nothing score 0.3 to 0.9. Only the distance to the permutation null means anything.

**Ceiling.** 1 for independent factors.

**Invariant** to order, sign and scale of components. Not to rotations.

**Known failures.** Every component weighs the same, so many that know nothing decide the mean of wide codes. Ignores
factors that are nowhere, and copies. Factors with many levels have more bias, and draw components to them.
disentanglement_lib counts a component without any information as 0; here it is left out and counted in the row.

**Source.** Ridgeway and Mozer 2018, section 3.
"""

    def __init__(self, *, bins: int = 20, binning: str = Binning.WIDTH.value) -> None:
        self.bins, self.binning = checked_bins(bins), binning_of(binning)

    def _measure(self, comparison: Comparison) -> Measurement:
        squares = np.square(histogram_information(comparison, self.bins, self.binning)).T
        largest = squares.max(1)
        knows = largest > 0
        others = squares[knows].sum(1) - largest[knows]
        each = np.zeros(comparison.k)
        each[knows] = 1 - others / (largest[knows] * (comparison.f - 1))
        details = {**by_component(each), "left_out": int((~knows).sum())}
        return Measurement(float(each[knows].mean()) if knows.any() else 0.0, details)
