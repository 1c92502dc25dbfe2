"""Separated attribute predictability. Refuses training scores where it must fit.

Source: Kumar, Sattigeri and Balakrishnan, "Variational inference of disentangled latent concepts from unlabeled
observations", ICLR 2018, section 3.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lpcm.metrics.association import associations
from lpcm.metrics.comparison import Comparison
from lpcm.metrics.factor_metric import FactorMetric, Measurement, by_factor
from lpcm.plugin.truth import FactorKind


class SAP(FactorMetric):
    """How much better the best single component predicts a factor than the second best."""

    nearness: ClassVar[float] = 0.05  # on a third of the samples the second best has luck
    card = """\
# sap

**Definition.** Each component alone predicts each factor; the score is the gap between the two best, averaged over
factors. For a continuous factor the prediction scores its squared correlation; for an angle the squared
linear-circular correlation; for a category the balanced accuracy of c - 1 thresholds midway between the class means,
fitted on two thirds of the samples and judged on the rest, rescaled so that chance is 0.

**Range** 0 to 1, higher is better: one component predicts the factor and no other does.

**Chance.** About (t / n) for a squared correlation with t targets, and the gap is smaller: see the permutation null.

**Ceiling.** 1 for independent factors whose classes lie one beside the other on a component.

**Invariant** to order, sign and scale of components. Not to rotations.

**Known failures.** As `mig`, a copy of a perfect component makes it 0. Linear: a component that holds |z| predicts
nothing of z. The original does not rescale categories, so a binary factor cannot score above 0.5 there;
disentanglement_lib takes a linear support vector machine one against the rest, which on one component cannot predict
any but the two outer classes, so categories of more than two cannot score 1 there.

**Source.** Kumar et al. 2018, section 3.
"""

    def _measure(self, comparison: Comparison) -> Measurement:
        scores = np.square(associations(comparison))
        for factor in range(comparison.f):
            if comparison.kind(factor) is FactorKind.CATEGORICAL:
                scores[factor] = threshold_skill(comparison, factor)
        best = np.sort(scores, axis=1)[:, ::-1]
        gaps = best[:, 0] - (best[:, 1] if comparison.k > 1 else 0.0)
        return Measurement(
            float(gaps.mean()),
            {"per_factor": by_factor(comparison, gaps), "best": by_factor(comparison, best[:, 0])},
        )


def threshold_skill(comparison: Comparison, factor: int) -> NDArray[np.float64]:
    """Held-out balanced accuracy of thresholds on each component alone, (k,), rescaled by chance, at least 0.

    Thresholds midway between neighbouring class means are linear discriminant analysis in one dimension with equal
    priors.
    """
    labels = comparison.levels(factor)
    fit, held = comparison.fit, comparison.held
    known = np.unique(labels[fit])
    means = np.stack([comparison.standard[fit][labels[fit] == level].mean(0) for level in known])
    truth, counts = np.unique(labels[held], return_counts=True)
    if len(truth) < 2:
        return np.zeros(comparison.k)
    asked = comparison.standard[held]
    nearest, least = np.zeros(asked.shape, np.int64), np.full(asked.shape, np.inf)
    for level, mean in zip(known, means, strict=True):  # one class at a time: no (q, c, k) array
        distance = np.abs(asked - mean)
        closer = distance < least
        nearest[closer], least[closer] = level, distance[closer]
    right = nearest == labels[held][:, None]
    recalls = np.stack([right[labels[held] == level].sum(0) for level in truth]) / counts[:, None]
    chance = 1 / len(truth)
    skill: NDArray[np.float64] = np.maximum((recalls.mean(0) - chance) / (1 - chance), 0.0)
    return np.where(comparison.active, skill, 0.0)
