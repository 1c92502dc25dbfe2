"""Who turns whitened components into independent ones. Refuses to whiten, and to judge convergence.

All engines maximise the same contrast, sum of +-E[log cosh(y)] over orthogonal matrices, from the same start:
up to order, signs and the tolerance they find the same components.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from lpcm.errors import MissingError


class Engine(str, Enum):
    """Who iterates."""

    SKLEARN = "sklearn"  # scikit-learn's FastICA, float64, rows in memory
    TORCH = "torch"  # the same fixed point in torch: float32 or float64, CPU or GPU, rows in chunks
    PICARD = "picard"  # Picard-O: quasi-Newton steps on the same contrast, for fits that converge slowly


@dataclass(frozen=True, eq=False)
class Unmixing:
    """A rotation of whitened components.

    Args:
        rotation: (k, k) float64 orthogonal; rows are components.
        iterations: over all rows.
        batch_iterations: before those, over a batch of rows.
    """

    rotation: NDArray[np.float64]
    iterations: int
    batch_iterations: int = 0


def starting_point(k: int, random_state: int) -> NDArray[np.float64]:
    """The (k, k) Gaussian matrix that scikit-learn's FastICA starts from for this state."""
    return np.asarray(check_random_state(random_state).normal(size=(k, k)))


def decorrelate(W: NDArray[np.float64]) -> NDArray[np.float64]:
    """The orthogonal matrix nearest to W, (W W^T)^(-1/2) W."""
    u, _, vt = np.linalg.svd(W, full_matrices=False)
    nearest: NDArray[np.float64] = u @ vt
    return nearest


def by_sklearn(whitened: NDArray[np.float64], max_iter: int, tol: float, random_state: int) -> Unmixing:
    """Iterate with scikit-learn's FastICA on (n, k) whitened rows."""
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    estimator = FastICA(whiten=False, max_iter=max_iter, tol=tol, random_state=random_state)
    with warnings.catch_warnings():
        # Not silenced: the caller measures the change that is left.
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(whitened)
    return Unmixing(np.asarray(estimator.components_, dtype=np.float64), int(estimator.n_iter_))


def by_picard(whitened: NDArray[np.float64], max_iter: int, tol: float, random_state: int) -> Unmixing:
    """Iterate with Picard-O on (n, k) whitened rows.

    Picard stops at a gradient, FastICA where a direction turns by 1 - |cos| < tol, that is by an angle of
    sqrt(2 tol), which is about the gradient over a curvature of 0.1 to 1: hence sqrt(tol) / 10.

    Raises:
        MissingError: when python-picard is not installed.

    Source: P. Ablin, J.-F. Cardoso, A. Gramfort, "Faster ICA under orthogonal constraint", 2018.
    """
    try:
        from picard import picard
    except ModuleNotFoundError:
        raise MissingError(
            "engine=picard needs the package python-picard, which is not installed",
            "pip install 'lpcm[picard]', or take engine=torch",
        ) from None
    with warnings.catch_warnings():
        # It warns when it did not converge: the caller measures the change that is left.
        warnings.filterwarnings("ignore", message="Picard did not converge")
        _, rotation, _, iterations = picard(
            whitened.T,
            fun="tanh",
            ortho=True,
            extended=True,
            whiten=False,
            centering=False,
            max_iter=max_iter,
            tol=np.sqrt(tol) / 10,
            w_init=decorrelate(starting_point(whitened.shape[1], random_state)),
            check_fun=False,
            return_n_iter=True,
        )
    return Unmixing(decorrelate(np.asarray(rotation, dtype=np.float64)), int(iterations))
