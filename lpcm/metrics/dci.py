"""DCI: disentanglement, completeness and informativeness of importances. Refuses to say D without what gave it.

Source: Eastwood and Williams, "A framework for the quantitative evaluation of disentangled representations",
ICLR 2018.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from lpcm.metrics.comparison import Comparison
from lpcm.metrics.factor_metric import FactorMetric, Measurement, by_component, by_factor, entropy_share
from lpcm.metrics.importance import Importance, importance, regressor_of


class _DCI(FactorMetric):
    """What the three share.

    Args:
        importance: ``"lasso"``, ``"forest"`` or ``"boosting"``, see ``lpcm.metrics.importance``.
    """

    def __init__(self, *, importance: str = "lasso") -> None:
        self.regressor = regressor_of(importance)

    def _measure(self, comparison: Comparison) -> Measurement:
        found = importance(comparison, self.regressor)
        part = self._part(comparison, found)
        return Measurement(part.value, {"importance": self.regressor.value, **part.details})

    @abstractmethod
    def _part(self, comparison: Comparison, found: Importance) -> Measurement: ...


class Disentanglement(_DCI):
    """DCI-D: whether a component is about one factor.

    Example:
        >>> from lpcm.keys import Key
        >>> factors, perfect, _ = Disentanglement().example(Key.of(0))
        >>> round(Disentanglement()(factors, perfect), 6)
        1.0
    """

    least_factors: ClassVar[int] = 2
    card = """\
# dci-d

**Definition.** From a matrix R of importances (k components by f factors), the disentanglement of component i is one
minus the entropy, to base f, of its row made to sum to 1; the score is the mean over components weighted by their
share of all importance:

    D_i = 1 - H_f(R_i. / sum R_i.),     D = sum_i D_i (sum R_i.) / (sum R)

`importance` says what R is: `lasso` (default; |coefficients| on components of variance 1, penalty by extended BIC),
`forest` or `boosting` (decrease of impurity, 50 and 100 trees, every split sees all components).

**Range** 0 to 1, higher is better: each component matters for one factor only.

**Chance.** Where nothing predicts, `lasso` keeps nothing and D is 0; a component of noise that gets in all the same
is there for one factor only and scores 1, so a null of `lasso` is 0 or, rarely, far from it. Trees always split on
something: each factor's importances sum to 1 even when it cannot be predicted, and D of noise lies well above 0. Read
D beside its permutation null, and beside its rotation floor, which for wide codes is low but not 0.

**Ceiling.** 1 for independent factors; the row gives what the factors themselves score on the same samples.

**Invariant** to order, sign and scale of components. Not to rotations: that is its use.

**Known failures.** Says nothing of factors that are not in the codes (see `dci-i`), and does not mind that a factor
is spread over many components (see `dci-c`). Depends on the regressor: compare equal ones only. Trees depend on the
number of components too. `lasso` sees linear effects only: a component that holds |z| has no weight for z.

**Source.** Eastwood and Williams 2018; as computed with boosting by Locatello et al. 2019.
"""

    def _part(self, comparison: Comparison, found: Importance) -> Measurement:
        each = entropy_share(found.weights)
        total = found.weights.sum()
        # Rounding must not take a mean of ones above 1.
        value = min(1.0, float((each * found.weights.sum(1)).sum() / total)) if total > 0 else 0.0
        return Measurement(value, {**by_component(each), "in_use": int((found.weights > 0).any(1).sum())})


class Completeness(_DCI):
    """DCI-C: whether a factor is in one component."""

    card = """\
# dci-c

**Definition.** From the same importances R as `dci-d`: one minus the entropy, to base k, of each factor's column made
to sum to 1, averaged over factors. A factor without any importance counts 0.

    C_j = 1 - H_k(R_.j / sum R_.j),     C = (1/f) sum_j C_j

**Range** 0 to 1, higher is better: each factor is in one component.

**Chance.** 0 with `lasso` where nothing predicts. With trees, what the permutation null says.

**Ceiling.** 1; the row gives what the factors themselves score.

**Invariant** to order, sign and scale of components. Not to rotations.

**Known failures.** The base of the entropy is the number of components: spreading a factor over four of 8 components
costs 0.67, over four of 512 only 0.22. Compare equal widths only (the question in disentanglement_lib's issue 29). A
category needs several components when each of its values has one of its own, and pays for it. Copies of a component
share the importance or not, as the regressor likes.

**Source.** Eastwood and Williams 2018.
"""

    def _part(self, comparison: Comparison, found: Importance) -> Measurement:
        each = entropy_share(found.weights.T)
        return Measurement(float(each.mean()), {"per_factor": by_factor(comparison, each)})


class Informativeness(_DCI):
    """DCI-I: how well the factors can be predicted from the codes."""

    card = """\
# dci-i

**Definition.** How well the regressor of `dci-d` predicts each factor on the third of the samples that it was not
fitted on, averaged over factors. Skill of a continuous factor or an angle is R^2, at least 0; of a category balanced
accuracy b over c values rescaled by chance, (b - 1/c) / (1 - 1/c), at least 0. With `lasso` it is the skill of a
linear probe refitted on the components that the lasso kept.

**Range** 0 to 1, higher is better.

**Chance.** 0, but for the luck that is cut off at 0: see the permutation null.

**Ceiling.** 1; the row gives what the factors themselves score.

**Invariant** to order, sign and scale of components; with `lasso` nearly to rotations, as long as all needed
components are kept. Trees need axes: a rotation costs them accuracy.

**Known failures.** The original reports an error, lower is better; this is its complement, so that all parts of DCI
point the same way. It measures the regressor as much as the codes.

**Source.** Eastwood and Williams 2018, on held-out samples.
"""

    def _part(self, comparison: Comparison, found: Importance) -> Measurement:
        return Measurement(float(np.mean(found.skill)), _per_factor(comparison, found))


def _per_factor(comparison: Comparison, found: Importance) -> dict[str, Any]:
    return {"per_factor": by_factor(comparison, found.skill), "held_out": len(comparison.held)}
