"""L1 probe: how few components does a linear probe need? Refuses to praise sparsity that predicts nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from lpcm.errors import UsageError
from lpcm.metrics.comparison import Comparison
from lpcm.metrics.factor_metric import FactorMetric, Measurement, by_factor
from lpcm.metrics.linear_skill import LinearSkill
from lpcm.metrics.sparse_path import sparse_paths


class L1Probe(FactorMetric):
    """Skill of a linear probe, discounted by how many components it takes to reach nearly all of it.

    Args:
        share: of the skill with all components that must be reached, in (0, 1].
    """

    card = """\
# l1-probe

**Definition.** A lasso path enters the components of a factor's linear probe in their order of use. With S the
held-out skill of the probe on all k components, and s the smallest set on the path whose refitted probe reaches
`share` (0.9) of S:

    score = (1/f) sum over factors of S (1 - ln s / ln k)

Skill is R^2 or rescaled balanced accuracy, 0 for chance (see `dci-i`). The row gives S, s and the skill at s of each
factor: the gap in accuracy and the gain in sparsity.

**Range** 0 to 1, higher is better: all is known, and from one component each.

**Chance.** 0: without skill there is nothing to be sparse about. What luck leaves is the permutation null.

**Ceiling.** 1 where each factor can be read from one component. An angle needs two, a category of c values up to c -
1 when each of its values has a component of its own: the row gives what the factors themselves score.

**Invariant** to order, sign and scale of components. Not to rotations: S stays and s grows. The rotation floor is the
sharpest control that this metric has.

**Known failures.** ln k is in the definition: compare equal widths. A set of more than a quarter of the samples of
the fit counts as all components. s moves in steps, and share decides where on a flat path it falls. The lasso's order
is not the best subset's; correlated components share a factor.

**Source.** Tibshirani 1996 for the path; least squares refitted on it as the relaxed lasso (Meinshausen 2007). The
combination into one number is lpcm's own.
"""

    def __init__(self, *, share: float = 0.9) -> None:
        if not 0 < share <= 1:
            raise UsageError(f"share is {share}: expected above 0 and at most 1, for example 0.9")
        self.share = share

    def _measure(self, comparison: Comparison) -> Measurement:
        each = np.zeros(comparison.f)
        told: dict[str, dict[str, Any]] = {}
        for factor, name in enumerate(comparison.factors.names):
            probe = LinearSkill.of(comparison, factor)
            everything = probe.on(np.flatnonzero(comparison.active))
            needed, reached = self._smallest(probe, comparison, factor, everything)
            # One component of one is as sparse as it gets.
            sparse = 1 - np.log(needed) / np.log(comparison.k) if comparison.k > 1 else 1.0
            each[factor] = everything * sparse
            told[name] = {"skill": round(everything, 4), "needs": needed, "skill_there": round(reached, 4)}
        return Measurement(float(each.mean()), {"per_factor": by_factor(comparison, each), "probes": told})

    def _smallest(
        self, probe: LinearSkill, comparison: Comparison, factor: int, everything: float
    ) -> tuple[int, float]:
        """How many components reach the share of ``everything``, and their skill; all of them if none fewer do."""
        if everything > 0:
            for support in sparse_paths(comparison)[factor].supports:
                skill = probe.on(support)
                if skill >= self.share * everything:
                    return len(support), skill
        return comparison.k, everything
