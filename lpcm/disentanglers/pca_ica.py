"""PCA(p), then FastICA(k): the paper's recipe. Refuses p < k.

FastICA whitens the p components by taking the k first again, so any p >= k gives what FastICA(k) alone gives.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lpcm.disentanglers.certificate import Effort
from lpcm.disentanglers.ica import ICA
from lpcm.disentanglers.linear import capping
from lpcm.disentanglers.spectrum import Spectrum
from lpcm.errors import UsageError


class PCAThenICA(ICA):
    """Features cut to p principal components, of which FastICA unmixes the k of largest variance.

    Args:
        p: principal components; ``None`` takes min(2 k, d, n - 1), at most the numerical rank.
        k, max_iter, tol, excess, certificate, random_state: as ``ICA``.

    Source: "Beyond DAGs: A Latent Partial Causal Model for Multimodal Learning", arXiv 2402.06223, sec. 5.
    Whitening PCA(p) to k dimensions is whitening to k dimensions: the second cut takes the same axes.
    """

    def __init__(
        self,
        *,
        p: int | None = None,
        k: int | None = None,
        max_iter: int = 1000,
        tol: float = 1e-4,
        excess: str = "refuse",
        certificate: str = Effort.NONE.value,
        random_state: int = 0,
    ) -> None:
        super().__init__(
            k=k,
            max_iter=max_iter,
            tol=tol,
            excess=excess,
            certificate=certificate,
            random_state=random_state,
        )
        self.p = p

    def _solve(self, spectrum: Spectrum) -> NDArray[np.float64]:
        n, d = spectrum.rows.shape
        cap = capping(self.excess)
        k, notes = spectrum.width(self.k, cap=cap, name="k")
        wanted = min(2 * k, d, n - 1, spectrum.rank) if self.p is None else self.p
        p, more = spectrum.width(wanted, cap=cap, name="p")
        if p < k:
            raise UsageError(
                f"p={p} principal components cannot hold k={k} independent ones: expected p of at least k",
                f"raise p, or ask for k of at most {p}",
            )
        self._note(notes + more)
        self.facts_["p"] = p
        return self._unmix(spectrum, k)
