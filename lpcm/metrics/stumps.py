"""Stumps: one threshold on one component. Refuses to pick component or threshold on held-out samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lpcm.metrics.comparison import Comparison
from lpcm.metrics.factor_metric import FactorMetric, Measurement, by_factor
from lpcm.plugin.truth import FactorKind


class Stumps(FactorMetric):
    """Held-out accuracy of the best yes-or-no question about a single component.

    Example:
        >>> from lpcm.keys import Key
        >>> factors, perfect, _ = Stumps().example(Key.of(0))
        >>> round(Stumps()(factors, perfect), 6)
        1.0
    """

    card = """\
# stumps

**Definition.** Each factor is put as yes-or-no questions: is it this value (each value of a category), is it above
the median (a continuous factor), are its cosine and its sine above their medians (an angle). For each question the
best threshold on the best component is found on two thirds of the samples, and its balanced accuracy b on the rest
gives 2 b - 1, at least 0; the mean over questions and then over factors is the score.

**Range** 0 to 1, higher is better: a threshold on one component answers each question.

**Chance.** 0, but for luck that is cut off at 0: see the permutation null.

**Ceiling.** 1 for continuous and binary factors. A value in the middle of a category that lies along one component is
between two thresholds; a component for each value answers it. The row gives what the factors themselves score.

**Invariant** to order, sign and any monotone map of components. Not to rotations: the most axis-bound of the probes.

**Known failures.** Sees one component at a time. Coarse: above or below the median says little of a continuous
factor.

**Source.** Iba and Langley 1992 (decision stumps; one level of a tree); balanced accuracy as Brodersen et al. 2010.
"""

    def _measure(self, comparison: Comparison) -> Measurement:
        fit, held = comparison.fit, comparison.held
        codes = comparison.standard[fit]
        order = np.argsort(codes, axis=0, kind="stable")
        ordered = np.take_along_axis(codes, order, axis=0)
        each = np.zeros(comparison.f)
        for factor in range(comparison.f):
            skills = []
            for asked in questions(comparison, factor):
                if not (0 < asked[fit].sum() < len(fit) and 0 < asked[held].sum() < len(held)):
                    continue  # the same answer for all: nothing to find, or nothing to judge it by
                component, threshold, sign = _best(ordered, order, asked[fit])
                said = sign * (comparison.standard[held, component] - threshold) > 0
                skills.append(max(0.0, _recall(said, asked[held]) + _recall(~said, ~asked[held]) - 1))
            each[factor] = np.mean(skills) if skills else 0.0
        return Measurement(
            float(each.mean()), {"per_factor": by_factor(comparison, each), "held_out": len(held)}
        )


def questions(comparison: Comparison, factor: int) -> list[NDArray[np.bool_]]:
    """Yes-or-no questions about a factor, each answered for the n samples; of two values one question is enough."""
    values = comparison.factors.values[:, factor]
    kind = comparison.kind(factor)
    if kind is FactorKind.CATEGORICAL:
        distinct = np.unique(values)
        return [values == value for value in (distinct[1:] if len(distinct) == 2 else distinct)]
    columns = [np.cos(values), np.sin(values)] if kind is FactorKind.ANGLE else [values]
    answers = []
    for column in columns:
        above = column > np.median(column)
        # Where the median is the largest value, nothing lies above it.
        answers.append(above if above.any() else column >= np.median(column))
    return answers


def _best(
    ordered: NDArray[np.float64], order: NDArray[np.intp], answers: NDArray[np.bool_]
) -> tuple[int, float, int]:
    """Component, threshold and side (1: yes above it) of the highest balanced accuracy on the rows of the fit."""
    sorted_answers = answers[order]
    yes, no = int(answers.sum()), int((~answers).sum())
    # After each row: how many of the yes and of the no answers lie at or below it.
    below = np.cumsum(sorted_answers, axis=0)[:-1]
    others = np.arange(1, len(answers))[:, None] - below
    gain = others / no - below / yes  # balanced accuracy of "yes above" is (1 + gain) / 2
    gain[ordered[1:] <= ordered[:-1]] = 0.0  # equal values cannot be parted
    place, component = np.unravel_index(np.abs(gain).argmax(), gain.shape)
    threshold = 0.5 * (ordered[place, component] + ordered[place + 1, component])
    return int(component), float(threshold), 1 if gain[place, component] >= 0 else -1


def _recall(said: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    return float((said & true).sum() / true.sum())
