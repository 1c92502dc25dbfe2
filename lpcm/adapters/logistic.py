"""L2-regularised multinomial logistic regression, solved along a path of C. Refuses to choose C.

The problem is that of scikit-learn's LogisticRegression: minimise over W (d, c) and b (c)

    C * sum_i -log softmax(x_i W + b)[y_i]  +  1/2 |W|^2 .

Three facts make a path of it cheap. Its solution lies in the span of the centred rows, and a rotation of the
features rotates W alone, so it is solved in the coordinates of the rows' singular vectors, of which there
are min(n, d) at most. There the Hessian is close to diagonal, which gives a preconditioner. And since the
problem is strongly convex with modulus 1 in W, the gradient bounds the distance to the minimum:

    F - F* <= |grad|^2 / 2 ,

which is the stopping rule and the certificate of convergence. (The intercept is not penalised and has no
such modulus: its gradient is counted after division by its typical curvature.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.optimize import minimize

GAP = 1e-9
"""Relative distance to the minimum of the objective at which a solution counts as converged."""


@dataclass(frozen=True, eq=False)
class Solution:
    """A solved problem.

    Args:
        weights: (d, c) and
        bias: (c,), so that logits are ``X @ weights + bias``.
        iterations: of the solver.
        converged: whether the solver's own certificate holds.
        gap: relative bound on the distance to the minimum; ``None`` where the solver gives none.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    iterations: int
    converged: bool
    gap: float | None = None


class PathSolver:
    """Solves for one C after another, each from where the last one ended.

    Args:
        X: (n, d) training features, float64.
        y: (n,) labels; each of 0 .. classes - 1 occurs.
        classes: c, 2 or more.
        max_iter: L-BFGS iterations at most, for each C.
        gap: relative distance to the minimum at which to stop.
    """

    def __init__(
        self,
        X: NDArray[np.float64],
        y: NDArray[np.int64],
        classes: int,
        *,
        max_iter: int = 2000,
        gap: float = GAP,
    ) -> None:
        self.max_iter = max_iter
        self.gap = gap
        self._centre = X.mean(0)
        self._basis, self._scales = row_space(X - self._centre)
        self._rows = (X - self._centre) @ self._basis
        self._truth = np.zeros((len(X), classes))
        self._truth[np.arange(len(X)), y] = 1.0
        self._w = np.zeros((len(self._scales), classes))
        self._b = np.zeros(classes)
        self._path: list[tuple[float, NDArray[np.float64], NDArray[np.float64]]] = []

    def solve(self, C: float) -> Solution:
        """Solve for one C > 0."""
        n = len(self._truth)
        curvature = self._curvature()
        precondition = np.sqrt(C * curvature * np.square(self._scales) + 1)[:, None]
        precondition_b = np.sqrt(C * curvature * n)
        split = self._w.size
        seen: dict[str, float] = {}

        def objective(u: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            w = u[:split].reshape(self._w.shape) / precondition
            b = u[split:] / precondition_b
            log_p = _log_softmax(self._rows @ w + b)
            residual = np.exp(log_p) - self._truth
            value = -C * float(np.vdot(self._truth, log_p)) + 0.5 * float(np.vdot(w, w))
            grad_w = C * (self._rows.T @ residual) + w
            grad_b = C * residual.sum(0) / precondition_b
            seen["gap"] = 0.5 * float(np.vdot(grad_w, grad_w) + np.vdot(grad_b, grad_b)) / value
            return value, np.concatenate([(grad_w / precondition).ravel(), grad_b])

        def stop(intermediate_result: Any) -> None:
            if seen["gap"] <= self.gap:
                raise StopIteration

        starts = [
            np.concatenate([(w * precondition).ravel(), b * precondition_b]) for w, b in self._starts(C)
        ]
        found = minimize(
            objective,
            min(starts, key=lambda u: objective(u)[0]),
            jac=True,
            method="L-BFGS-B",
            callback=stop,
            # ftol = gtol = 0: only the certificate ends the search, or rounding.
            options={
                "maxiter": self.max_iter,
                "maxfun": 10 * self.max_iter,
                "maxcor": 8,  # with the preconditioner, a longer memory costs more than it saves
                "ftol": 0.0,
                "gtol": 0.0,
            },
        )
        objective(found.x)
        self._w = found.x[:split].reshape(self._w.shape) / precondition
        self._b = found.x[split:] / precondition_b
        self._path = [*self._path[-1:], (C, self._w, self._b)]
        weights = self._basis @ self._w
        return Solution(
            weights, self._b - self._centre @ weights, int(found.nit), seen["gap"] <= self.gap, seen["gap"]
        )

    def _starts(self, C: float) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Where to start from: the last solution, and the line through the last two, in log C.

        On separable classes weights grow about linearly in log C, which halves the iterations of a path.
        """
        starts = [(self._w, self._b)]
        if len(self._path) == 2:
            (C0, w0, b0), (C1, w1, b1) = self._path
            step = np.log(C / C1) / np.log(C1 / C0) if C0 != C1 else 0.0
            if 0 < step <= 2:
                starts.append((w1 + step * (w1 - w0), b1 + step * (b1 - b0)))
        return starts

    def _curvature(self) -> float:
        """Mean of p (1 - p) at the last solution: the typical second derivative of the loss."""
        p = np.exp(_log_softmax(self._rows @ self._w + self._b))
        return max(float((p * (1 - p)).mean()), 1e-8)


def log_loss(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Mean of -log softmax(logits)[label], in nats."""
    return float(-_log_softmax(logits)[np.arange(len(labels)), labels].mean())


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(1, keepdims=True)
    log_p: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return log_p


def row_space(centred: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Orthonormal basis (d, r) of the span of the rows and the singular values (r,), descending."""
    n, d = centred.shape
    wide = n < d
    values, vectors = eigh(centred @ centred.T if wide else centred.T @ centred)
    values, vectors = values[::-1], vectors[:, ::-1]
    # Directions below this are rounding; with rows of norm 1 they could not move a logit even at C = 1e6.
    keep = values > max(values[0], 0.0) * np.finfo(np.float64).eps * max(n, d)
    scales = np.sqrt(values[keep])
    basis = centred.T @ vectors[:, keep] / scales if wide else vectors[:, keep]
    return basis, scales
