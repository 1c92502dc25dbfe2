"""PCA-whitening turned by varimax, as a scikit-learn style transformer. Labels are never looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from lpcm.errors import DataError, UsageError
from numpy.typing import NDArray


class Varimax:
    """Whitened principal components, turned so that the variance of their squares is largest.

    Args:
        k: components; `None` takes min(256, d, n // 5).
        max_iter: iterations at most.
        tol: relative gain of the criterion at which iterating stops.
        random_state: decides the rotation that iterating starts from.

    Attributes:
        mean_: (d,) float64 mean of the rows of the fit.
        components_: (k, d) float64 linear map.
    """

    # Checked by the conformance kit: moving or scaling all rows gives the same components.
    equivariance = ("translation", "scale", "rotation")

    def __init__(
        self,
        *,
        k: int | None = None,
        max_iter: int = 300,
        tol: float = 1e-7,
        random_state: int = 0,
    ) -> None:
        self.k = k
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: NDArray[np.float32], y: object = None) -> Varimax:
        """Fit on (n, d) features.

        Raises:
            DataError: when a feature is not finite.
            UsageError: when more components are asked for than the rows hold.
        """
        rows = np.asarray(X, dtype=np.float64)
        if not np.isfinite(rows).all():
            raise DataError("features hold NaN or infinite values")
        n, d = rows.shape
        self.mean_ = rows.mean(axis=0)
        _, scales, axes = np.linalg.svd(
            (rows - self.mean_) / np.sqrt(n), full_matrices=False
        )
        rank = int((scales > scales[0] * max(n, d) * np.finfo(np.float32).eps).sum())
        k = min(256, rank, max(1, n // 5)) if self.k is None else self.k
        if not 1 <= k <= rank:
            raise UsageError(
                f"k is {k}: these {n} rows hold {rank} components",
                f"type --components {rank} or fewer",
            )
        whitening = axes[:k] / scales[:k, None]
        self.components_ = self._turn((rows - self.mean_) @ whitening.T) @ whitening
        self._facts = {
            "n": n,
            "d": d,
            "k": k,
            "whitening": "unit-variance",
            **self._facts,
        }
        return self

    def transform(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, d) features to (n, k) components, float32."""
        return ((X - self.mean_) @ self.components_.T).astype(np.float32)

    def report(self) -> Mapping[str, Any]:
        """What the row says of the fit; texts under "warnings" are shown to the reader."""
        return dict(self._facts)

    def _turn(self, whitened: NDArray[np.float64]) -> NDArray[np.float64]:
        """The (k, k) rotation, by Kaiser's fixed point: R <- polar(R-turned rows cubed ^T rows)."""
        k = whitened.shape[1]
        start = np.random.default_rng(self.random_state).standard_normal((k, k))
        rotation = np.linalg.qr(start)[0]
        before, iterations, converged = 0.0, 0, False
        while iterations < self.max_iter and not converged:
            turned = whitened @ rotation.T
            gradient = (
                (turned**3 - turned * (turned**2).mean(axis=0)).T
                @ whitened
                / len(whitened)
            )
            u, sizes, vt = np.linalg.svd(gradient)
            rotation = u @ vt
            converged = abs(sizes.sum() - before) <= self.tol * sizes.sum()
            before = float(sizes.sum())
            iterations += 1
        self._facts: dict[str, Any] = {
            "iterations": iterations,
            "converged": bool(converged),
        }
        if not converged:
            self._facts["warnings"] = [
                f"varimax did not converge within {iterations} iterations"
            ]
        return rotation
