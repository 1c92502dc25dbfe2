"""How much each component matters for predicting each factor: the matrix that DCI reads.

Three regressors of its literature, fitted on two thirds of the rows and judged on the rest. Refuses to prefer one
silently: the choice is a setting and is said in the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import UsageError, nearest
from lpcm.keys import Key
from lpcm.metrics.comparison import Comparison
from lpcm.metrics.linear_skill import LinearSkill
from lpcm.metrics.memory import remembered
from lpcm.metrics.sparse_path import sparse_paths
from lpcm.plugin.truth import FactorKind


class Regressor(str, Enum):
    """What predicts a factor from the components."""

    LASSO = "lasso"  # Eastwood and Williams 2018; penalty by extended BIC
    FOREST = "forest"  # Eastwood and Williams 2018; every split sees all components
    BOOSTING = "boosting"  # disentanglement_lib's (Locatello et al. 2019)


TREES = {Regressor.FOREST: 50, Regressor.BOOSTING: 100}
"""Trees of a factor."""


@dataclass(frozen=True, eq=False)
class Importance:
    """What a regressor made of codes and factors.

    Args:
        weights: (k, f) importance of each component for each factor, 0 or more.
        skill: (f,) held-out skill of the prediction, 0 for chance and 1 for perfect.
    """

    weights: NDArray[np.float64]
    skill: NDArray[np.float64]


def regressor_of(name: str) -> Regressor:
    """The regressor of that name. Raises ``UsageError`` that lists them."""
    try:
        return Regressor(name)
    except ValueError:
        known = [regressor.value for regressor in Regressor]
        raise UsageError(
            f"importance is {name!r}: expected {', '.join(map(repr, known))}", nearest(name, known)
        ) from None


@remembered
def importance(comparison: Comparison, regressor: Regressor) -> Importance:
    """Fit a regressor for each factor.

    - lasso: weight is the sum over the factor's targets of |coefficient| on components of variance 1; skill is
      that of a linear probe on the components in use (``LinearSkill``);
    - forest, boosting: weight is the total decrease of impurity, which sums to 1 for each factor; skill is balanced
      accuracy rescaled by chance, or R^2. An angle is two targets, whose weights are averaged.
    """
    weights = np.empty((comparison.k, comparison.f))
    skill = np.empty(comparison.f)
    for factor in range(comparison.f):
        fitted = _lasso if regressor is Regressor.LASSO else _trees
        weights[:, factor], skill[factor] = fitted(comparison, factor, regressor)
    return Importance(weights, skill)


def _lasso(comparison: Comparison, factor: int, _: Regressor) -> tuple[NDArray[np.float64], float]:
    weights = np.abs(sparse_paths(comparison)[factor].chosen).sum(0)
    return weights, LinearSkill.of(comparison, factor).on(np.flatnonzero(weights))


def _trees(comparison: Comparison, factor: int, regressor: Regressor) -> tuple[NDArray[np.float64], float]:
    fit, held = comparison.fit, comparison.held
    rows, asked = comparison.standard[fit], comparison.standard[held]
    if comparison.kind(factor) is FactorKind.CATEGORICAL:
        labels = comparison.levels(factor)
        if len(np.unique(labels[fit])) < 2:
            return np.zeros(comparison.k), 0.0
        model = _classifier(regressor, factor).fit(rows, labels[fit])
        return model.feature_importances_, _recalled(labels[held], model.predict(asked))
    targets = comparison.targets(factor)
    models = [_predictor(regressor, factor).fit(rows, target) for target in targets[fit].T]
    predicted = np.column_stack([model.predict(asked) for model in models])
    total = np.square(targets[held] - targets[fit].mean(0)).sum()
    explained = 1 - np.square(targets[held] - predicted).sum() / total if total > 0 else 0.0
    return np.mean([model.feature_importances_ for model in models], axis=0), max(0.0, float(explained))


def _classifier(regressor: Regressor, factor: int) -> Any:
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

    made = GradientBoostingClassifier if regressor is Regressor.BOOSTING else RandomForestClassifier
    return made(**_settings(regressor, factor))


def _predictor(regressor: Regressor, factor: int) -> Any:
    from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor

    made = GradientBoostingRegressor if regressor is Regressor.BOOSTING else RandomForestRegressor
    return made(**_settings(regressor, factor))


def _settings(regressor: Regressor, factor: int) -> dict[str, Any]:
    state = Key.of(0).fold("importance", regressor.value, factor).random_state()
    shared = {"n_estimators": TREES[regressor], "random_state": state}
    if regressor is Regressor.BOOSTING:
        return shared
    # With a random subset of components at each split, noise is split on where the right one is not in the subset,
    # and a perfect code would score below 1.
    return {**shared, "max_features": 1.0, "min_samples_leaf": 3}


def _recalled(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    from lpcm.metrics.accuracy import balanced_accuracy

    chance = 1 / len(np.unique(truth))
    if chance == 1:
        return 0.0
    return max(0.0, (balanced_accuracy(truth, predicted) - chance) / (1 - chance))
