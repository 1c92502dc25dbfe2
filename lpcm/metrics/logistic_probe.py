"""Logistic probes from all components to a factor's levels, judged on held-out rows. Refuses a penalty path.

An L2 penalty is the same in every direction, so on whitened codes these probes are blind to rotations: what
explicitness and InfoExplicitness ask is whether a factor is there at all, not where.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpcm.metrics.comparison import Comparison
from lpcm.metrics.memory import remembered

# Far below what a third of the rows can tell apart.
_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class LogisticAnswers:
    """What a probe said of held-out rows.

    Args:
        probabilities: (q, l) of the l levels that the rows of the fit have.
        levels: (q,) true level as a place among those, -1 for one that was not there to fit.
        shares: (l,) of the rows of the fit.
    """

    probabilities: NDArray[np.float64]
    levels: NDArray[np.int64]
    shares: NDArray[np.float64]


@remembered
def logistic_answers(comparison: Comparison) -> tuple[LogisticAnswers, ...]:
    """Fit a multinomial logistic regression a factor (C = 1 on components of variance 1) and ask it."""
    return tuple(_answers(comparison, factor) for factor in range(comparison.f))


def _answers(comparison: Comparison, factor: int) -> LogisticAnswers:
    from sklearn.linear_model import LogisticRegression

    levels = comparison.levels(factor)
    known, counts = np.unique(levels[comparison.fit], return_counts=True)
    place_of = np.full(levels.max() + 1, -1)
    place_of[known] = np.arange(len(known))
    truth = place_of[levels[comparison.held]]
    shares = counts / counts.sum()
    if len(known) == 1:
        return LogisticAnswers(np.ones((len(truth), 1)), truth, shares)
    model = LogisticRegression(C=1.0, tol=_TOLERANCE, max_iter=2000)
    model.fit(comparison.standard[comparison.fit], levels[comparison.fit])
    return LogisticAnswers(model.predict_proba(comparison.standard[comparison.held]), truth, shares)
