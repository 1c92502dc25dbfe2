"""How well a linear probe on chosen components finds a factor, on rows it was not fitted on.

Refuses to select: which components are read is the caller's. Skill is 0 for what knows nothing and 1 for what
knows all, whatever the kind of factor, so that factors can be averaged.

- continuous, angle: least squares on the targets; skill is R^2 over them together, at least 0;
- categorical: linear discriminant analysis (Fisher 1936; equal priors); skill is balanced accuracy b rescaled by
  chance, (b - 1/c) / (1 - 1/c), at least 0. Regression on indicators would not do: where three classes lie on a
  line, the one in the middle is never the largest (masking; Hastie, Tibshirani and Friedman 2009, 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpcm.metrics.comparison import Comparison
from lpcm.plugin.truth import FactorKind

# Keeps copies of a component from making a singular system; shrinks what is found by a millionth.
_RIDGE = 1e-6


@dataclass(frozen=True, eq=False)
class LinearSkill:
    """Probes of one factor on any subset of the components.

    Args:
        gram: (k, k) scatter of the components that is inverted: total for regression, within classes otherwise.
        slopes: (k, t) products with the targets, or centred class means.
        offset: (k,) mean of the components on the rows of the fit.
        level: (t,) mean of the targets there; not used for classes.
        rows: of the fit.
        held: (q, k) components of the held-out rows.
        answers: (q, t) their targets, or (q,) their class, -1 for one that was not there to fit.
    """

    gram: NDArray[np.float64]
    slopes: NDArray[np.float64]
    offset: NDArray[np.float64]
    level: NDArray[np.float64]
    rows: int
    held: NDArray[np.float64]
    answers: NDArray[np.float64] | NDArray[np.int64]

    @classmethod
    def of(cls, comparison: Comparison, factor: int) -> LinearSkill:
        """Sums over the rows of the fit that all probes of this factor share."""
        fit, held = comparison.standard[comparison.fit], comparison.standard[comparison.held]
        offset = fit.mean(0)
        centred = fit - offset
        if comparison.kind(factor) is not FactorKind.CATEGORICAL:
            targets = comparison.targets(factor)
            level = targets[comparison.fit].mean(0)
            slopes = centred.T @ (targets[comparison.fit] - level)
            return cls(centred.T @ centred, slopes, offset, level, len(fit), held, targets[comparison.held])
        labels = comparison.levels(factor)
        known, inverse = np.unique(labels[comparison.fit], return_inverse=True)
        counts = np.bincount(inverse)
        means = np.stack([centred[inverse == place].mean(0) for place in range(len(known))])
        within = centred.T @ centred - (means.T * counts) @ means
        place_of = np.full(labels.max() + 1, -1)
        place_of[known] = np.arange(len(known))
        # Pooled covariance in units of the scatter: n times it, so that both kinds share the ridge.
        answers = place_of[labels[comparison.held]]
        return cls(within, means.T * len(fit), offset, counts / len(fit), len(fit), held, answers)

    def on(self, components: NDArray[np.integer]) -> float:
        """Skill of the probe that reads these components, in [0, 1]; 0 when there are none."""
        if not len(components):
            return 0.0
        gram = self.gram[np.ix_(components, components)]
        # Components have variance 1, so the diagonal of a scatter is about the number of rows.
        ridge = _RIDGE * self.rows * np.eye(len(components))
        weights = np.linalg.solve(gram + ridge, self.slopes[components])
        scores = (self.held[:, components] - self.offset[components]) @ weights
        if self.answers.ndim == 2:
            return self._explained(scores + self.level)
        means = self.slopes[components] / self.rows
        return self._recalled(scores - 0.5 * (means * weights).sum(0))

    def _explained(self, predicted: NDArray[np.float64]) -> float:
        total = np.square(self.answers - self.level).sum()
        if total == 0:
            return 0.0
        return max(0.0, 1 - float(np.square(self.answers - predicted).sum() / total))

    def _recalled(self, scores: NDArray[np.float64]) -> float:
        classes, inverse, counts = np.unique(self.answers, return_inverse=True, return_counts=True)
        if len(classes) < 2:
            return 0.0
        right = np.bincount(inverse, weights=scores.argmax(1) == self.answers)
        chance = 1 / len(classes)
        return max(0.0, (float((right / counts).mean()) - chance) / (1 - chance))
