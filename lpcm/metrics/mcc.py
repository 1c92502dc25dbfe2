"""Mean correlation coefficient after matching components with factors one to one. Refuses a component for two.

Source: Hyvarinen and Morioka, "Unsupervised feature extraction by time-contrastive learning and nonlinear ICA",
NeurIPS 2016; as reported for contrastive learning by Zimmermann et al. 2021 and arXiv 2402.06223.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy.optimize import linear_sum_assignment

from lpcm.metrics.association import Correlation, associations
from lpcm.metrics.comparison import Comparison
from lpcm.metrics.factor_metric import FactorMetric, Measurement, by_factor


class MCC(FactorMetric):
    """Mean |correlation| of each factor with the component matched to it.

    Example:
        >>> from lpcm.keys import Key
        >>> factors, perfect, _ = MCC().example(Key.of(0))
        >>> round(MCC()(factors, -3 * perfect[:, ::-1]), 6)
        1.0
    """

    correlation: ClassVar[Correlation] = Correlation.PEARSON
    card = """\
# mcc

**Definition.** The correlation in [0, 1] of each factor with each component (Pearson's |r| for a continuous factor,
the correlation ratio for a category, the linear-circular correlation for an angle); components are matched with
factors one to one so that the sum is largest (the Hungarian method), and the matched correlations are averaged over
factors. With fewer components than factors the factors left over count 0; with more, the best matching components are
taken.

**Range** 0 to 1, higher is better.

**Chance.** Not 0: the best of k noise correlations of n samples is about sqrt(2 ln(k) / n), 0.09 for 64 and 1,000,
and the correlation ratio of c values adds to it. Two nulls: a permutation says what codes score that know nothing, a
random rotation what codes score that know as much on axes that mean nothing. With as many components as factors a
rotation of perfect codes scores 0.9 for 2, 0.64 for 8, 0.4 for 32: an MCC of 0.64 can be none at all.

**Ceiling.** 1.

**Invariant** to order, sign and scale of components. Not to rotations.

**Known failures.** Says nothing of what else a matched component holds, nor of components left over. With many more
components than factors it is a maximum over many and rises with k alone: compare equal widths. Some sources fit on
the scored samples a map from codes to factors first; that is `r2`, not this.

**Source.** Hyvarinen and Morioka 2016; Zimmermann et al. 2021; categories and angles: Pearson 1905, Mardia 1976.
"""

    def _measure(self, comparison: Comparison) -> Measurement:
        found = associations(comparison, correlation=self.correlation)
        factors, components = linear_sum_assignment(-found)
        each = np.zeros(comparison.f)
        each[factors] = found[factors, components]
        matched = {comparison.factors.names[f]: int(c) for f, c in zip(factors, components, strict=True)}
        return Measurement(
            float(each.mean()), {"per_factor": by_factor(comparison, each), "matched_component": matched}
        )


class SpearmanMCC(MCC):
    """MCC of ranks: the same under any monotone map of a component or a continuous factor."""

    correlation = Correlation.SPEARMAN
    card = """\
# mcc-spearman

**Definition.** As `mcc`, with components and continuous factors replaced by their ranks: Spearman's |rho| for
continuous factors, the correlation ratio of ranks for categories, the linear-circular correlation of ranks for
angles.

**Range** 0 to 1, higher is better.

**Chance.** As `mcc`: read it beside the permutation null and the rotation floor.

**Ceiling.** 1.

**Invariant** to order and sign of components, and to any monotone map of a component or a continuous factor: what
nonlinear identifiability up to component-wise maps promises. Not to rotations.

**Known failures.** As `mcc`; and it cannot see that a component is |z|.

**Source.** Hyvarinen and Morioka 2016; Zimmermann et al. 2021.
"""
