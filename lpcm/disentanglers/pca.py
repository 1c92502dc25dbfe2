"""PCA: the k directions of largest variance, not rescaled. Refuses more components than the rows hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lpcm.disentanglers.certificate import Decider, Effort
from lpcm.disentanglers.linear import LinearDisentangler, capping
from lpcm.disentanglers.spectrum import Spectrum


class PCA(LinearDisentangler):
    """Principal components, centred, with the variances that the features have along them.

    Args:
        k: components; ``None`` takes min(256, d, n // 5), at most the numerical rank.
        excess: ``"refuse"`` or ``"cap"`` a ``k`` above the numerical rank.
        certificate: ``"none"``, ``"quick"`` or ``"full"``: whether refits tell what was identified.
        random_state: taken like every disentangler's, and used by refits only: the answer is unique up to signs.

    Source: K. Pearson 1901; the entry of largest magnitude of each component is made positive.
    """

    equivariance = ("translation", "scale", "rotation")
    decider = Decider.VARIANCE

    def __init__(
        self,
        *,
        k: int | None = None,
        excess: str = "refuse",
        certificate: str = Effort.NONE.value,
        random_state: int = 0,
    ) -> None:
        self.k = k
        self.excess = excess
        self.certificate = certificate
        self.random_state = random_state

    def _solve(self, spectrum: Spectrum) -> NDArray[np.float64]:
        k, notes = spectrum.width(self.k, cap=capping(self.excess), name="k")
        self._note(notes)
        variances = np.square(spectrum.scales)
        self.facts_["whitening"] = "none"
        self.facts_["variance_kept"] = float(variances[:k].sum() / variances.sum())
        return spectrum.axes[:k].copy()
