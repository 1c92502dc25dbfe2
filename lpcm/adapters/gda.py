"""Gaussian discriminant analysis with a shrunk covariance, added to zero-shot. Closed form: nothing is trained.

Refuses to tell classes of one row each apart by a covariance that it cannot have: there it is the nearest mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.adapters.prompts import class_vectors, unit
from lpcm.adapters.published import LooksAt, Published
from lpcm.adapters.tuning import Fold, MeanStanding, Tuned
from lpcm.adapters.validation import SELECTION, choose, standing, validation_rows
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts

ALPHAS = (1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2)

TEMPERATURE = 100.0
"""Of the cosine with the prompts, as CLIP was trained."""


class UseOfText(str, Enum):
    """Whether the cosine with the class prompts is part of the logits."""

    ADDED = "added"  # where the encoder reads text: alpha weighs the two
    LEFT_OUT = "left-out"  # discriminant analysis of the images alone


class GDA:
    """Linear discriminant analysis of unit features with one shrunk covariance, and zero-shot beside it.

        logits = 100 f T' + alpha (f P M' + b),   b_c = log(1 / c) - m_c P m_c' / 2

    with class means M (c, d), class vectors T (c, d) and the precision P = s Sigma_s^-1 of
    Sigma_s = (1 - s) S + s tr(S) / d I, where S is the pooled covariance within classes. At the default
    s = d / (n - 1 + d), P is the published d ((n - 1) S + tr(S) I)^-1.

    Args:
        alpha: weight of the discriminant; ``None`` chooses it on validation.
        grid: the alpha to choose from.
        shrinkage: s, in (0, 1]; ``None`` takes d / (n - 1 + d).
        text: ``"added"`` (where the encoder reads text) or ``"left-out"``.

    Source: Wang et al. 2024, "A hard-to-beat baseline for training-free CLIP-based adaptation" (ICLR), and
    its released code; the shrinkage is Kubokawa and Srivastava's (2008).

    Example:
        >>> X, y = np.eye(4, dtype=np.float32)[[0, 1, 2, 3]], np.array([0, 0, 1, 1])
        >>> GDA().fit(X, y, classes=2, key=Key.of(0)).logits(X).argmax(1)
        array([0, 0, 1, 1])
    """

    published = Published(
        settings_on=LooksAt.SPLIT,
        rule="alpha is that of the best accuracy on the whole validation split",
        source="released code of Wang et al. 2024",
    )

    def __init__(
        self,
        *,
        alpha: float | None = None,
        grid: tuple[float, ...] = ALPHAS,
        shrinkage: float | None = None,
        text: str = UseOfText.ADDED.value,
    ) -> None:
        if alpha is not None and not alpha > 0:
            raise UsageError(f"alpha is {alpha}: expected a number above 0")
        if not grid or not all(point > 0 for point in grid):
            raise UsageError(f"grid is {list(grid)}: expected one or more numbers above 0")
        if shrinkage is not None and not 0 < shrinkage <= 1:
            raise UsageError(f"shrinkage is {shrinkage}: expected a number above 0, at most 1")
        if text not in tuple(use.value for use in UseOfText):
            raise UsageError(f"text is {text!r}: expected 'added' or 'left-out'")
        self.alpha = alpha
        self.grid = tuple(float(point) for point in grid)
        self.shrinkage = shrinkage
        self.text = UseOfText(text)
        self.selection = SELECTION if alpha is None else f"alpha fixed at {alpha:g}"

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        classes: int,
        key: Key,
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
        text: TextPrompts | None = None,
    ) -> GDA:
        """Fit on (n, d) features and (n,) labels in [0, c); ``key`` is not used.

        Without text there is one term, and nothing to choose. A class without rows gets no logit (-inf).

        Raises:
            UsageError: when alpha is to be chosen and ``val`` is missing.
            DataError: when fewer than two classes have rows, or the prompts do not fit the features.
        """
        present = np.unique(labels)
        if len(present) < 2:
            raise DataError(f"gda was given rows of {len(present)} class: expected 2 or more")
        X = unit(features)
        self._weights = np.zeros((X.shape[1], classes))
        self._bias = np.full(classes, -np.inf)
        weights, bias, self._facts = discriminant(X, labels, present, self.shrinkage)
        self._weights[:, present] = weights
        self._bias[present] = bias - np.log(classes)
        self._vectors, self._alpha = np.zeros((classes, X.shape[1])), 1.0
        if text is None or self.text is UseOfText.LEFT_OUT:
            self._facts["text"] = UseOfText.LEFT_OUT.value
            self.selection = "none: nothing is chosen"
            return self
        self._facts["text"] = UseOfText.ADDED.value
        self._vectors = class_vectors(text, classes=classes, width=X.shape[1], adapter="gda")
        self._alpha = self._choose(val) if self.alpha is None else self.alpha
        self._facts["alpha"] = self._alpha
        return self

    def tune(self, folds: Sequence[Fold], *, classes: int, key: Key) -> Tuned:
        """Choose alpha on average over folds (``lpcm.adapters.tuning``); ``key`` is not used.

        Without text there is nothing to choose.

        Raises:
            UsageError: when a fold has no validation rows.
            DataError: as ``fit``.
        """
        if self.alpha is not None or self.text is UseOfText.LEFT_OUT or any(f.text is None for f in folds):
            return Tuned()
        terms = []
        for fold in folds:
            # The terms do not depend on alpha, so one fit a fold serves the whole grid.
            fitted = GDA(alpha=1.0, shrinkage=self.shrinkage)
            fitted.fit(fold.features, fold.labels, classes=classes, key=key, text=fold.text)
            rows, truth = validation_rows(fold.val, adapter="gda", chosen="alpha", instead="gda.alpha=1")
            terms.append((*fitted._terms(rows), truth))

        def judge(alpha: float) -> MeanStanding:
            return MeanStanding.of([standing(zero + alpha * more, truth) for zero, more, truth in terms])

        judged = [(judge(alpha), place) for place, alpha in enumerate(self.grid)]
        best, place = min(judged)  # ties go to the first of the grid
        return Tuned({"alpha": self.grid[place]}, best.facts())

    def _choose(self, val: tuple[NDArray[np.float32], NDArray[np.int64]] | None) -> float:
        rows, truth = validation_rows(val, adapter="gda", chosen="alpha", instead="gda.alpha=1")
        zero_shot, discriminant = self._terms(rows)
        alpha, best = choose(((a, zero_shot + a * discriminant) for a in self.grid), truth)
        self._facts.update(val_accuracy=best.accuracy, val_log_loss=best.log_loss)
        return alpha

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of each class, (q, d) -> (q, c)."""
        zero_shot, discriminant = self._terms(features)
        logits: NDArray[np.float64] = zero_shot + self._alpha * discriminant
        return logits

    def report(self) -> Mapping[str, Any]:
        """Tell alpha, the shrinkage, whether text was used, and how validation chose."""
        return dict(self._facts)

    def _terms(self, features: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        X = unit(features)
        return TEMPERATURE * (X @ self._vectors.T), X @ self._weights + self._bias


def discriminant(
    X: NDArray[np.float64], labels: NDArray[np.int64], present: NDArray[np.int64], shrinkage: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, Any]]:
    """Estimate weights (d, c) and bias (c,) of the present classes, with equal priors left out.

    Rows that do not vary within classes (one shot) have no covariance: the precision is then d I, the limit of
    the estimator up to a factor, and the nearest class mean wins.
    """
    n, d = X.shape
    means = np.stack([X[labels == c].mean(0) for c in present])
    within = X - means[np.searchsorted(present, labels)]
    spread = float(np.square(within).sum()) / max(n - 1, 1)  # tr(S)
    facts: dict[str, Any] = {"covariance": "shrunk"}
    if spread <= np.finfo(np.float64).eps:
        facts["covariance"] = "identity: no two rows of a class differ"
        weights = d * means.T
    else:
        s = d / (n - 1 + d) if shrinkage is None else shrinkage
        facts["shrinkage"] = s
        sigma = (1 - s) / (n - 1) * (within.T @ within)
        sigma[np.diag_indices(d)] += s * spread / d
        weights = s * np.linalg.solve(sigma, means.T)
    return weights, -0.5 * np.einsum("cd,dc->c", means, weights), facts
