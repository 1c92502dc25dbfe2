"""FastICA on whitened features. Refuses to hide a fit that did not converge.

The whitening is our own (one eigen decomposition, shared with the controls); scikit-learn's FastICA then only
iterates on it. Up to order and signs the answer is that of its own "unit-variance" whitening by SVD.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning

from lpcm.disentanglers.certificate import Decider, Effort
from lpcm.disentanglers.linear import LinearDisentangler, capping
from lpcm.disentanglers.spectrum import Spectrum


class ICA(LinearDisentangler):
    """Independent components: whitened components turned until they are as non-Gaussian as can be.

    Args:
        k: components; ``None`` takes min(256, d, n // 5), at most the numerical rank.
        max_iter: fixed-point iterations at most.
        tol: largest change of a direction, 1 - |cos|, at which iterating stops.
        excess: ``"refuse"`` or ``"cap"`` a ``k`` above the numerical rank.
        certificate: ``"none"``, ``"quick"`` or ``"full"``: whether refits tell what was identified.
        random_state: decides the starting point.

    Source: A. Hyvarinen, "Fast and robust fixed-point algorithms for independent component analysis", 1999:
    the symmetric algorithm with G(u) = log cosh(u).
    """

    equivariance = ("translation", "scale", "rotation")
    decider = Decider.INDEPENDENCE

    def __init__(
        self,
        *,
        k: int | None = None,
        max_iter: int = 1000,
        tol: float = 1e-4,
        excess: str = "refuse",
        certificate: str = Effort.NONE.value,
        random_state: int = 0,
    ) -> None:
        self.k = k
        self.max_iter = max_iter
        self.tol = tol
        self.excess = excess
        self.certificate = certificate
        self.random_state = random_state

    def _solve(self, spectrum: Spectrum) -> NDArray[np.float64]:
        k, notes = spectrum.width(self.k, cap=capping(self.excess), name="k")
        self._note(notes)
        return self._unmix(spectrum, k)

    def _unmix(self, spectrum: Spectrum, k: int) -> NDArray[np.float64]:
        whitened = spectrum.project(k, whiten=True)
        estimator = FastICA(
            whiten=False, max_iter=self.max_iter, tol=self.tol, random_state=self.random_state
        )
        with warnings.catch_warnings():
            # Not silenced: the change that is left is measured below and told in the report.
            warnings.simplefilter("ignore", ConvergenceWarning)
            estimator.fit(whitened)
        rotation = np.asarray(estimator.components_, dtype=np.float64)
        left = change_of_next_step(rotation, whitened)
        converged = estimator.n_iter_ < self.max_iter or left < self.tol
        variances = np.square(spectrum.scales)
        self.facts_.update(
            whitening="unit-variance",
            variance_kept=float(variances[:k].sum() / variances.sum()),
            contrast="logcosh",
            iterations=int(estimator.n_iter_),
            max_iter=self.max_iter,
            tol=self.tol,
            tol_reached=float(left),
            converged=bool(converged),
        )
        if not converged:
            self.facts_.setdefault("warnings", []).append(
                f"FastICA did not converge: after {estimator.n_iter_} iterations a direction still moves by"
                f" {left:.1g} (tol {self.tol:g}); fewer components (k={k} now), more rows"
                f" (n={len(whitened)} now) or a larger max_iter may help"
            )
        return rotation @ (spectrum.axes[:k] / spectrum.scales[:k, None])


def change_of_next_step(rotation: NDArray[np.float64], whitened: NDArray[np.float64]) -> float:
    """Measure how far one more fixed-point step would turn a direction: the largest 1 - |cos|.

    Source: Hyvarinen 1999, the step for sphered data, then symmetric decorrelation.
    """
    g = np.tanh(whitened @ rotation.T)
    step = g.T @ whitened / len(whitened) - (1 - np.square(g)).mean(0)[:, None] * rotation
    u, _, vt = np.linalg.svd(step, full_matrices=False)
    cosines = np.einsum("ij,ij->i", u @ vt, rotation)
    return float(np.max(np.abs(np.abs(cosines) - 1)))
