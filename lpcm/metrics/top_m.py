"""Top-m probe: what do the m best components know of a factor? Refuses to pick them on held-out samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lpcm.errors import UsageError
from lpcm.metrics.association import associations
from lpcm.metrics.comparison import Comparison
from lpcm.metrics.factor_metric import FactorMetric, Measurement, by_factor
from lpcm.metrics.linear_skill import LinearSkill


class TopM(FactorMetric):
    """Held-out skill of linear probes on the m components that go best with a factor, for several m.

    Args:
        m: numbers of components; the score is the mean over them.

    Raises:
        UsageError: when ``m`` holds anything but whole numbers of 1 or more.
    """

    card = """\
# top-m

**Definition.** Components are ranked for each factor by their correlation with it (as in `mcc`) on two thirds of the
samples; a linear probe on the m best is fitted there and judged on the rest. The score is the mean of its skill over
m = 1, 2, 4 (setting `m`) and over factors. The row gives the whole curve, with the probe on all components at its
end.

**Range** 0 to 1, higher is better: few components know a factor.

**Chance.** 0, but for luck that is cut off at 0: see the permutation null.

**Ceiling.** 1 where each factor can be read from one component; an angle needs two. With fewer than m components, all
are taken.

**Invariant** to order, sign and scale of components. Not to rotations: the end of the curve stays and its beginning
falls.

**Known failures.** Components are ranked one by one: of two that only help together neither is taken, and copies of
the best fill the places. Linear.

**Source.** Filter selection as Guyon and Elisseeff 2003, section 2; skill as in `dci-i`.
"""

    def __init__(self, *, m: Sequence[int] | int = (1, 2, 4)) -> None:
        self.m = (m,) if isinstance(m, int) else tuple(m)
        if not self.m or any(
            isinstance(each, bool) or not isinstance(each, int) or each < 1 for each in self.m
        ):
            raise UsageError(f"m is {m!r}: expected whole numbers of 1 or more, for example 1,2,4")

    def _measure(self, comparison: Comparison) -> Measurement:
        order = np.argsort(-associations(comparison.take(comparison.fit)), axis=1, kind="stable")
        asked = sorted({min(each, comparison.k) for each in self.m})
        curve = {each: np.zeros(comparison.f) for each in (*asked, comparison.k)}
        for factor in range(comparison.f):
            probe = LinearSkill.of(comparison, factor)
            for each in curve:
                curve[each][factor] = probe.on(order[factor, :each])
        per_factor = np.mean([curve[min(each, comparison.k)] for each in self.m], axis=0)
        told = {str(each): round(float(skill.mean()), 4) for each, skill in curve.items()}
        return Measurement(
            float(per_factor.mean()),
            {"per_factor": by_factor(comparison, per_factor), "skill_by_m": told},
        )
