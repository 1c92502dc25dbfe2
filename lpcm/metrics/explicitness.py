"""Explicitness: can each value of a factor be told from the others by a linear rule? Refuses training scores.

Source: Ridgeway and Mozer 2018, section 3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from lpcm.metrics.comparison import Comparison
from lpcm.metrics.factor_metric import FactorMetric, Measurement, by_factor
from lpcm.metrics.logistic_probe import logistic_answers


class Explicitness(FactorMetric):
    """Mean over factors and their values of a held-out area under the ROC curve, rescaled."""

    card = """\
# explicitness

**Definition.** Multinomial logistic regression on all components predicts the levels of a factor; the area under the
ROC curve of each level against the others, on the third of the samples that was held out, is averaged over levels and
rescaled so that chance is 0: 2 AUC - 1. The score is the mean over factors.

**Range** -1 to 1, higher is better.

**Chance.** 0, with a spread that the permutation null shows.

**Ceiling.** 1, unless factors have more levels than the held-out samples can show.

**Invariant** to order, sign and scale of components; **blind to rotations** of whitened codes, since the L2 penalty
is the same in every direction: `ica`, `whiten` and `rotation` of the same k score the same. It says whether factors
are there, not on which axes.

**Known failures.** Levels of a continuous factor are its values, or 10 bins: neighbouring ones are hard to tell
apart. The middle of an ordered factor is not linearly apart from both ends, and only the softmax saves it. The
original fits one against the rest; here all levels of a factor are fitted together.

**Source.** Ridgeway and Mozer 2018, section 3; disentanglement_lib reports the AUC without rescaling.
"""
    range = (-1.0, 1.0)

    def _measure(self, comparison: Comparison) -> Measurement:
        each = []
        for answers in logistic_answers(comparison):
            areas = [
                area_under_roc(answers.probabilities[:, level], answers.levels == level)
                for level in range(answers.probabilities.shape[1])
                if 0 < (answers.levels == level).sum() < len(answers.levels)
            ]
            each.append(2 * float(np.mean(areas)) - 1 if areas else 0.0)
        return Measurement(
            float(np.mean(each)),
            {"per_factor": by_factor(comparison, each), "held_out": len(comparison.held)},
        )


def area_under_roc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Chance that a positive outranks a negative, ties counting half, in [0, 1]; there must be some of both.

    Source: the Mann-Whitney statistic (Hanley and McNeil 1982).
    """
    many = int(positive.sum())
    ranks = rankdata(scores)[positive].sum()
    return float((ranks - many * (many + 1) / 2) / (many * (len(scores) - many)))
