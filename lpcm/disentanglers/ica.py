"""FastICA on whitened features. Refuses to hide a fit that did not converge.

The whitening is our own: one eigen decomposition of the Gram matrix, shared with the controls. An engine then
only iterates on it. Up to order and signs the answer is that of scikit-learn's own "unit-variance" whitening by
SVD, whatever the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lpcm.disentanglers.certificate import Decider, Effort, effort_of
from lpcm.disentanglers.engines import Engine, Unmixing, by_picard, by_sklearn, decorrelate
from lpcm.disentanglers.linear import LinearDisentangler, capping
from lpcm.disentanglers.spectrum import Spectrum
from lpcm.disentanglers.streamed import ChunkedRows, StreamedSpectrum
from lpcm.errors import UsageError, nearest

if TYPE_CHECKING:
    from lpcm.disentanglers.fastica_torch import Precision

_PRECISIONS = ("float32", "float64")


class ICA(LinearDisentangler):
    """Independent components: whitened components turned until they are as non-Gaussian as can be.

    Args:
        k: components; ``None`` takes min(256, d, n // 5), at most the numerical rank.
        max_iter: iterations at most.
        tol: largest change of a direction, 1 - |cos|, at which iterating stops.
        engine: ``"sklearn"``, ``"torch"`` or ``"picard"``, see ``lpcm.disentanglers.engines``.
        precision: ``"float32"`` or ``"float64"``, of engine ``"torch"``; the others compute in float64.
        device: of engine ``"torch"``: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        batch: of engine ``"torch"``: rows for the first steps, before all are used; ``None`` uses all at once.
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
        engine: str = Engine.SKLEARN.value,
        precision: str = "float32",
        device: str = "cpu",
        batch: int | None = None,
        excess: str = "refuse",
        certificate: str = Effort.NONE.value,
        random_state: int = 0,
    ) -> None:
        self.k = k
        self.max_iter = max_iter
        self.tol = tol
        self.engine = engine
        self.precision = precision
        self.device = device
        self.batch = batch
        self.excess = excess
        self.certificate = certificate
        self.random_state = random_state

    def fit(self, X: NDArray[np.floating] | ChunkedRows, y: object = None) -> LinearDisentangler:
        """Fit on (n, d) features; with engine ``"torch"``, ``np.memmap`` and ``ChunkedRows`` are read in chunks.

        Raises:
            DataError: when features are not finite or nothing varies.
            UsageError: when more components are asked for than the rows hold, or an engine for what it cannot do.
        """
        engine = self._checked_engine()
        if not isinstance(X, ChunkedRows) and not (engine is Engine.TORCH and isinstance(X, np.memmap)):
            return super().fit(X)
        if engine is not Engine.TORCH:
            raise UsageError(
                f"rows in chunks were given to engine={engine.value}, which holds them all",
                "take engine=torch",
            )
        if effort_of(self.certificate) is not Effort.NONE:
            raise UsageError(
                "a certificate refits halves of the rows, and these are read in chunks",
                "take certificate=none, or fit on a part of the rows that fits into memory",
            )
        rows = X if isinstance(X, ChunkedRows) else ChunkedRows(X)
        return self._fit(StreamedSpectrum.read(rows), Effort.NONE)

    def _checked_engine(self) -> Engine:
        known = [engine.value for engine in Engine]
        if self.engine not in known:
            raise UsageError(
                f"engine is {self.engine!r}: expected {' or '.join(map(repr, known))}",
                nearest(self.engine, known),
            )
        if self.precision not in _PRECISIONS:
            raise UsageError(f"precision is {self.precision!r}: expected 'float32' or 'float64'")
        engine = Engine(self.engine)
        if engine is not Engine.TORCH and (self.device != "cpu" or self.batch is not None):
            raise UsageError(
                f"device and batch are settings of engine=torch: engine is {engine.value}",
                "take engine=torch, or leave them out",
            )
        if self.batch is not None and self.batch < 2:
            raise UsageError(f"batch is {self.batch}: expected 2 or more rows")
        return engine

    def _solve(self, spectrum: Spectrum) -> NDArray[np.float64]:
        k, notes = spectrum.width(self.k, cap=capping(self.excess), name="k")
        self._note(notes)
        return self._unmix(spectrum, k)

    def _unmix(self, spectrum: Spectrum, k: int) -> NDArray[np.float64]:
        engine = self._checked_engine()
        if engine is Engine.TORCH:
            found, left = self._by_torch(spectrum, k)
        else:
            whitened = spectrum.project(k, whiten=True)
            way = by_sklearn if engine is Engine.SKLEARN else by_picard
            found = way(whitened, self.max_iter, self.tol, self.random_state)
            left = change_of_next_step(found.rotation, whitened)
        # The fixed point was measured to have turned by less than tol when it stops early; Picard's measure
        # is another one.
        stopped = engine is not Engine.PICARD and found.iterations < self.max_iter
        converged = stopped or left < self.tol
        variances = np.square(spectrum.scales)
        self.facts_.update(
            whitening="unit-variance",
            variance_kept=float(variances[:k].sum() / variances.sum()),
            contrast="logcosh",
            engine=engine.value,
            iterations=found.iterations,
            max_iter=self.max_iter,
            tol=self.tol,
            tol_reached=float(left),
            converged=bool(converged),
        )
        if engine is Engine.TORCH:
            self.facts_["precision"] = self.precision
        if self.batch is not None:
            self.facts_.update(batch=self.batch, batch_iterations=found.batch_iterations)
        if not converged:
            self.facts_.setdefault("warnings", []).append(
                f"FastICA did not converge: after {found.iterations} iterations a direction still moves by"
                f" {left:.1g} (tol {self.tol:g}); fewer components (k={k} now), more rows"
                f" (n={spectrum.shape[0]} now) or a larger max_iter may help"
            )
        return found.rotation @ (spectrum.axes[:k] / spectrum.scales[:k, None])

    def _by_torch(self, spectrum: Spectrum, k: int) -> tuple[Unmixing, float]:
        from lpcm.disentanglers.fastica_torch import Hold, Precision, by_torch

        precision: Precision = Precision(self.precision)
        return by_torch(
            spectrum,
            k,
            max_iter=self.max_iter,
            tol=self.tol,
            random_state=self.random_state,
            precision=precision,
            device=self.device,
            batch=self.batch,
            hold=Hold.SOURCE if isinstance(spectrum, StreamedSpectrum) else Hold.MEMORY,
        )


def change_of_next_step(rotation: NDArray[np.float64], whitened: NDArray[np.float64]) -> float:
    """Measure how far one more fixed-point step would turn a direction: the largest 1 - |cos|.

    Source: Hyvarinen 1999, the step for sphered data, then symmetric decorrelation.
    """
    g = np.tanh(whitened @ rotation.T)
    step = g.T @ whitened / len(whitened) - (1 - np.square(g)).mean(0)[:, None] * rotation
    cosines = np.einsum("ij,ij->i", decorrelate(step), rotation)
    return float(np.max(np.abs(np.abs(cosines) - 1)))
