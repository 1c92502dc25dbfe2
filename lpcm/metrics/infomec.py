"""InfoMEC: modularity, compactness and explicitness by mutual information. Refuses training scores.

Source: Hsu, Dorrell, Whittington, Wu and Finn, "Disentanglement via latent quantization", NeurIPS 2023.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import UsageError
from lpcm.metrics.comparison import Comparison
from lpcm.metrics.factor_metric import FactorMetric, Measurement, by_component, by_factor
from lpcm.metrics.information import entropies, neighbour_information
from lpcm.metrics.logistic_probe import LogisticAnswers, logistic_answers


class _Shares(FactorMetric):
    """What modularity and compactness share: normalised information of the components that are active.

    Args:
        neighbours: of the estimator, 1 or more.
        prune: a component is active when its range is more than the largest range divided by this.

    Raises:
        UsageError: for settings that cannot be.
    """

    def __init__(self, *, neighbours: int = 10, prune: float = 20.0) -> None:
        if neighbours < 1:
            raise UsageError(f"neighbours is {neighbours}: expected 1 or more, for example 10")
        if prune <= 1:
            raise UsageError(f"prune is {prune}: expected more than 1, for example 20")
        self.neighbours, self.prune = neighbours, prune

    def _shares(self, comparison: Comparison) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Information in units of each factor's entropy, (f, k), and which components are active, (k,)."""
        information = neighbour_information(comparison, self.neighbours) / entropies(comparison)[:, None]
        ranges = np.ptp(comparison.codes, axis=0)
        return information, comparison.active & (ranges > ranges.max() / self.prune)


class InfoM(_Shares):
    """InfoModularity: whether what a component knows is about one factor."""

    least_factors: ClassVar[int] = 2
    nearness: ClassVar[float] = 0.02  # estimates of nothing are not all 0
    card = """\
# infom

**Definition.** With n_ij the mutual information of factor i and component j in units of the factor's entropy: the
largest share of one factor in what an active component knows, averaged over those, and rescaled so that equal shares
are 0:

    InfoM = (mean_j [max_i n_ij / sum_i n_ij] - 1/f) / (1 - 1/f)

Mutual information is the nearest-neighbour estimate of Ross (2014) with `neighbours` (10). A component is active when
its range is more than a twentieth (`prune`) of the largest range. Levels of factors as in `mig`.

**Range** 0 to 1, higher is better: each component knows of one factor.

**Chance.** Far from 0. Estimates of nothing scatter around 0 and are cut off there, so often one factor is left with
all of a component's share: codes that know nothing score 0.3 to 0.8. Only the distance to the permutation null means
anything. A component whose estimates are all 0 is left out here (the authors' code divides 0 by 0).

**Ceiling.** 1 for independent factors.

**Invariant** to order, sign and scale of all components together; pruning sees the scale of single ones. Not to
rotations.

**Known failures.** Every active component weighs the same. One outlier stretches a range and prunes the other
components. Continuous factors, each value of which the authors' code takes as a class of its own, are cut into 10
levels.

**Source.** Hsu et al. 2023; estimator: Ross 2014.
"""

    def _measure(self, comparison: Comparison) -> Measurement:
        shares, active = self._shares(comparison)
        knows = active & (shares.sum(0) > 0)
        each = np.zeros(comparison.k)
        each[knows] = _rescaled(shares[:, knows].max(0) / shares[:, knows].sum(0), comparison.f)
        details = {**by_component(each), "active": int(active.sum()), "left_out": int((~knows).sum())}
        return Measurement(float(each[knows].mean()) if knows.any() else 0.0, details)


class InfoC(_Shares):
    """InfoCompactness: whether a factor is known to one component."""

    nearness: ClassVar[float] = 0.02  # estimates of nothing are not all 0
    card = """\
# infoc

**Definition.** As `infom`, the other way round: the largest share of one active component in what all of them know of
a factor, averaged over factors, and rescaled so that equal shares among the a active components are 0:

    InfoC = (mean_i [max_j n_ij / sum_j n_ij] - 1/a) / (1 - 1/a)

**Range** 0 to 1, higher is better: each factor is known to one component. A single active component scores 1 where it
knows anything.

**Chance.** Falls with the number of components: noise shared by many. See the permutation null.

**Ceiling.** 1 for independent factors; in practice below, since the estimates of the components that know nothing add
up: with 60 of those of 0.005 each, a perfect component has a share of 0.77.

**Invariant** to order, sign and scale of all components together. Not to rotations.

**Known failures.** Depends on the number of components: compare equal widths only. A copy of a perfect component
halves it.

**Source.** Hsu et al. 2023; estimator: Ross 2014.
"""

    def _measure(self, comparison: Comparison) -> Measurement:
        shares, active = self._shares(comparison)
        if not active.any():
            return Measurement(
                0.0, {"per_factor": by_factor(comparison, np.zeros(comparison.f)), "active": 0}
            )
        known = shares[:, active]
        totals = known.sum(1)
        largest = np.divide(known.max(1), totals, out=np.zeros_like(totals), where=totals > 0)
        count = known.shape[1]
        each = np.where(totals > 0, _rescaled(largest, count) if count > 1 else 1.0, 0.0)
        details = {"per_factor": by_factor(comparison, each), "active": count}
        return Measurement(float(each.mean()), details)


class InfoE(FactorMetric):
    """InfoExplicitness: how much of a factor a linear rule reads from all components."""

    nearness: ClassVar[float] = 0.2  # the penalty leaves some doubt
    card = """\
# infoe

**Definition.** Predictive information of a logistic probe in units of the factor's entropy: with h the cross-entropy
of a multinomial logistic regression on all components, and H that of the shares of the levels alone, both on the
third of the samples that was held out,

    InfoE = (1/f) sum_i max(0, 1 - h_i / H_i)

**Range** 0 to 1, higher is better.

**Chance.** 0: a probe that knows nothing does no better than the shares of the levels, and worse is cut off.

**Ceiling.** Below 1: the probe has a penalty (C = 1 on components of variance 1), so even perfect codes leave some
doubt; the row gives what the factors themselves score.

**Invariant** to order, sign and scale of components; **blind to rotations** of whitened codes, as `explicitness`.

**Known failures.** The authors' code fits without a penalty and takes the cross-entropy of the very samples of the
fit: with as many components as CLIP has, that is near 1 for noise. Here it is held out, so values are lower than
theirs. The penalty is fixed: on more components than samples the probe is surer than it should be, and InfoE can be 0
where explicitness is high. Neighbouring bins of a continuous factor are hard to tell apart.

**Source.** Hsu et al. 2023; predictive V-information of Xu et al. 2020.
"""

    def _measure(self, comparison: Comparison) -> Measurement:
        each = [_predictive(answers) for answers in logistic_answers(comparison)]
        return Measurement(
            float(np.mean(each)),
            {"per_factor": by_factor(comparison, each), "held_out": len(comparison.held)},
        )


def _rescaled(share: NDArray[np.float64], parts: int) -> NDArray[np.float64]:
    # Rounding must not take equal shares below 0.
    return np.maximum((share - 1 / parts) / (1 - 1 / parts), 0.0)


def _predictive(answers: LogisticAnswers) -> float:
    known = answers.levels >= 0  # of a level that was not there to fit, neither side says anything
    rows, levels = answers.probabilities[known], answers.levels[known]
    if not len(levels):
        return 0.0
    conditional = -np.log(np.maximum(rows[np.arange(len(levels)), levels], 1e-300)).mean()
    marginal = -np.log(answers.shares[levels]).mean()
    return max(0.0, float(1 - conditional / marginal)) if marginal > 0 else 0.0
