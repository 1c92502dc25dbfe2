"""R^2 of a linear map from codes to factors: held out, and adjusted. Refuses to call it disentanglement.

Source: linear identifiability, as reported by Zimmermann et al. 2021 and arXiv 2402.06223 (table 1).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.metrics.comparison import Comparison
from lpcm.metrics.factor_metric import FactorMetric, Measurement, by_factor

FOLDS = 5

PENALTIES = np.geomspace(1e-6, 1e2, 17)
"""Of the ridge, in units of the samples of the fit: components have variance 1."""

# Codes are float32 numbers: directions smaller than their rounding are not codes, and a map must not lean on them.
_RCOND = 1e-5


class R2(FactorMetric):
    """Held-out R^2 of a linear map, averaged over factors.

    Example:
        >>> from lpcm.keys import Key
        >>> factors, perfect, _ = R2().example(Key.of(0))
        >>> turned = perfect @ np.linalg.qr(np.arange(9.0).reshape(3, 3) + np.eye(3))[0]
        >>> round(R2()(factors, turned), 6)
        1.0
    """

    range = (-np.inf, 1.0)
    card = """\
# r2

**Definition.** A linear map with intercept from all components to a factor's targets (itself; cosine and sine of an
angle; an indicator of each value of a category), by least squares with a ridge whose penalty generalised
cross-validation chooses, fitted on four fifths of the samples and judged on the fifth, five times over. R^2 is one
minus the squared error in units of that of the mean of the samples of the fit, over all targets of the factor; the
score is the mean over factors.

**Range** up to 1, higher is better; below 0 where the map does worse than the mean.

**Chance.** About 0, mostly just below: the penalty grows until little is fitted to noise.

**Ceiling.** 1 for continuous factors. Indicators of a category with more than two values on one component are not
linear in it: the row gives what the factors themselves score, as numbers or as indicators.

**Blind to rotations**: `ica`, `whiten` and `rotation` of the same k score the same, to rounding, since the ridge is
the same in every direction. It says that factors are in the codes, not that they lie on axes. The rotation floor in
the row equals the value.

**Known failures.** Directions of very different size, such as those of raw features and of `pca`, are penalised
unequally; plain least squares would not be, but on as many components as samples it follows noise without bound.

**Source.** Zimmermann et al. 2021 fit least squares and score on the same samples; held out here, see `r2-adjusted`
for the other. Penalty: Golub, Heath and Wahba 1979.
"""

    def _measure(self, comparison: Comparison) -> Measurement:
        each = held_out(comparison)
        return Measurement(float(each.mean()), {"per_factor": by_factor(comparison, each), "folds": FOLDS})


class AdjustedR2(FactorMetric):
    """R^2 of the samples of the fit, adjusted for the number of components, averaged over factors."""

    range: ClassVar[tuple[float, float]] = (-np.inf, 1.0)
    card = """\
# r2-adjusted

**Definition.** As `r2`, fitted and judged on all samples, and adjusted for the r independent components: 1 - (1 -
R^2)(n - 1) / (n - r - 1).

**Range** up to 1, higher is better; below 0 where components explain less than chance would.

**Chance.** 0 on average: that is what the adjustment is for.

**Ceiling.** As `r2`.

**Blind to rotations**, and to any invertible linear map, as `r2`.

**Known failures.** Needs more samples than components, and is refused otherwise. Assumes noise of equal variance.

**Source.** Ezekiel 1930, equation for the corrected coefficient of multiple determination.
"""

    def _measure(self, comparison: Comparison) -> Measurement:
        design = _with_intercept(comparison.standard)
        rank = int(np.linalg.matrix_rank(design, rtol=_RCOND)) - 1
        if comparison.n <= rank + 1:
            raise DataError(
                f"{comparison.n} samples leave nothing to judge a map from {rank} components by: "
                f"expected at least {rank + 2}",
                "take fewer components, or the metric r2, which is held out",
            )
        correction = (comparison.n - 1) / (comparison.n - rank - 1)
        each = np.empty(comparison.f)
        for factor in range(comparison.f):
            targets = comparison.targets(factor)
            weights = np.linalg.lstsq(design, targets, rcond=_RCOND)[0]
            left = np.square(targets - design @ weights).sum() / np.square(targets).sum()
            each[factor] = 1 - left * correction
        return Measurement(float(each.mean()), {"per_factor": by_factor(comparison, each), "rank": rank})


def held_out(comparison: Comparison) -> NDArray[np.float64]:
    """R^2 of each factor, (f,), from predictions of samples that were not fitted on."""
    order = Key.of(0).fold("folds", comparison.n).generator().permutation(comparison.n)
    fold = np.empty(comparison.n, np.int64)
    fold[order] = np.arange(comparison.n) % FOLDS
    targets = [comparison.targets(factor) for factor in range(comparison.f)]
    error, total = np.zeros(comparison.f), np.zeros(comparison.f)
    for part in range(FOLDS):
        fit, held = fold != part, fold == part
        middle = comparison.standard[fit].mean(0)
        left, sizes, axes = np.linalg.svd(comparison.standard[fit] - middle, full_matrices=False)
        asked = (comparison.standard[held] - middle) @ axes.T
        for factor, columns in enumerate(targets):
            level = columns[fit].mean(0)
            predicted = asked @ _ridge(left, sizes, columns[fit] - level) + level
            error[factor] += np.square(columns[held] - predicted).sum()
            total[factor] += np.square(columns[held] - level).sum()
    return np.asarray(1 - error / total, dtype=np.float64)


def _ridge(
    left: NDArray[np.float64], sizes: NDArray[np.float64], targets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Coefficients (r, t) along the axes of a centred design with singular values ``sizes`` (r,).

    Source: the penalty is that of the least generalised cross-validation error n RSS / (n - df)^2 (Golub, Heath and
    Wahba 1979), on the rows of the fit alone.
    """
    n = len(targets)
    products, squares = left.T @ targets, np.square(sizes)
    outside = float(np.square(targets).sum() - np.square(products).sum())  # what no component can explain
    best, chosen = np.inf, np.zeros_like(products)
    for penalty in n * PENALTIES:
        kept = squares / (squares + penalty)
        missed = float(np.square((1 - kept)[:, None] * products).sum()) + max(outside, 0.0)
        error = missed / (n - 1 - kept.sum()) ** 2 if n - 1 > kept.sum() else np.inf
        if error < best:
            best, chosen = error, (sizes / (squares + penalty))[:, None] * products
    return chosen


def _with_intercept(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([np.ones(len(codes)), codes])
