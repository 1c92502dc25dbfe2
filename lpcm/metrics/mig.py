"""Mutual information gap. Refuses to hide the bias of its histogram.

Source: Chen, Li, Grosse and Duvenaud, "Isolating sources of disentanglement in variational autoencoders", 2018,
section 4.
"""

from __future__ import annotations

import numpy as np

from lpcm.errors import UsageError
from lpcm.metrics.comparison import Comparison
from lpcm.metrics.factor_metric import FactorMetric, Measurement, by_factor
from lpcm.metrics.information import Binning, binning_of, entropies, histogram_information


class MIG(FactorMetric):
    """How much more the best component knows of a factor than the second best.

    Args:
        bins: of a component, 2 or more.
        binning: ``"width"`` or ``"quantile"``.

    Raises:
        UsageError: for other settings.

    Example:
        >>> from lpcm.keys import Key
        >>> factors, perfect, _ = MIG().example(Key.of(0))
        >>> round(MIG()(factors, perfect), 6)
        1.0
    """

    card = """\
# mig

**Definition.** With I(z_j; v) the mutual information of component j and factor v, and H(v) the factor's entropy: the
gap between the two components that know most, in units of the entropy, averaged over factors.

    MIG = (1/f) sum_v [I(z_first; v) - I(z_second; v)] / H(v)

I is the plug-in estimate on a histogram of `bins` (20) bins, equally wide (`binning=width`, the source's) or equally
full (`quantile`). Factors with more than 10 values are cut into 10 levels.

**Range** 0 to 1, higher is better: one component holds the factor and no other does.

**Chance.** The plug-in estimate is too large by about (b - 1)(l - 1) / (2 n) nats for b occupied bins and l levels;
the row gives the largest of it as `bias`. It cancels in the gap where the two components fill their bins alike. What
is left of chance is the permutation null.

**Ceiling.** 1 for independent factors; below where factors are correlated, since then the second component knows
some.

**Invariant** to order and sign of components, to scale, and with `quantile` to any monotone map of a component. Not
to rotations.

**Known failures.** A copy of a perfect component makes it 0: it punishes redundancy, not entanglement. Equally wide
bins are emptied by outliers, and components of ICA have heavy tails. Does not ask whether a component is about one
factor only (see `modularity`). A factor held by two components together, such as an angle by sine and cosine, scores
0.

**Source.** Chen et al. 2018 (beta-TCVAE), section 4; 20 bins as Locatello et al. 2019.
"""

    def __init__(self, *, bins: int = 20, binning: str = Binning.WIDTH.value) -> None:
        self.bins, self.binning = checked_bins(bins), binning_of(binning)

    def _measure(self, comparison: Comparison) -> Measurement:
        information = (
            histogram_information(comparison, self.bins, self.binning) / entropies(comparison)[:, None]
        )
        best = np.sort(information, axis=1)[:, ::-1]
        gaps = best[:, 0] - (best[:, 1] if comparison.k > 1 else 0.0)
        levels = max(int(comparison.levels(factor).max()) + 1 for factor in range(comparison.f))
        return Measurement(
            float(gaps.mean()),
            {
                "per_factor": by_factor(comparison, gaps),
                "best_component": {
                    name: int(place)
                    for name, place in zip(comparison.factors.names, information.argmax(1), strict=True)
                },
                "bias": round((self.bins - 1) * (levels - 1) / (2 * comparison.n), 4),
            },
        )


def checked_bins(bins: int) -> int:
    """The number of bins. Raises ``UsageError`` below 2."""
    if bins < 2:
        raise UsageError(f"bins is {bins}: expected 2 or more, for example 20")
    return bins
