"""Probes with an L1 or elastic-net penalty: where the axes of the features matter. Refuse to guess C.

An L2 probe cannot tell a rotation of the features from the features. These can: few weights suffice only where
single features carry the classes, so here unmixing (ICA) can differ from whitening to the same width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.adapters.search import Candidate, Edge, search_grid
from lpcm.adapters.sparse_logistic import GAP, SparsePath
from lpcm.adapters.validation import standing, validation_rows
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts

MULTIPLES = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""Of the largest C at which all weights are zero: a penalty that the features' units cannot move."""

L1_GAP = 1e-2
"""Of the L1 probe: without curvature of its own it needs three times the steps for each digit, and validation
accuracy on real features moved by one row in 200 between this and 1e-3."""


class ElasticProbe:
    """Multinomial logistic regression with elastic-net penalty (``lpcm.adapters.sparse_logistic``).

    Features are divided by one number, the root-mean-square norm of the centred training rows.

    Args:
        C: inverse strength of the penalty; ``None`` chooses it on validation.
        grid: what to choose from, in multiples of the largest C at which all weights are zero.
        l1_ratio: share r of the L1 term, above 0 and at most 1.
        max_iter: solver steps at most, for each C.
        gap: relative duality gap at which a solution counts as converged.

    Source: Zou and Hastie 2005; the problem is scikit-learn's ``LogisticRegression`` with ``l1_ratio``.

    Example:
        >>> X, y = np.eye(3, dtype=np.float32), np.arange(3)
        >>> ElasticProbe(C=10.0).fit(X, y, classes=3, key=Key.of(0)).logits(X).argmax(1)
        array([0, 1, 2])
    """

    name = "linear-probe-elastic"

    def __init__(
        self,
        *,
        C: float | None = None,
        grid: Sequence[float] = MULTIPLES,
        l1_ratio: float = 0.5,
        max_iter: int = 2000,
        gap: float = GAP,
    ) -> None:
        if C is not None and not C > 0:
            raise UsageError(f"C is {C}: expected a number above 0")
        if not grid or not all(point > 1 for point in grid):
            raise UsageError(f"grid is {list(grid)}: expected one or more numbers above 1")
        if not 0 < l1_ratio <= 1:
            raise UsageError(
                f"l1_ratio is {l1_ratio}: expected a number above 0, at most 1",
                "without an L1 term there is the adapter linear-probe",
            )
        if not gap > 0:
            raise UsageError(f"gap is {gap}: expected a number above 0")
        self.C = C
        self.grid = tuple(float(point) for point in grid)
        self.l1_ratio = l1_ratio
        self.max_iter = max_iter
        self.gap = gap
        self._facts: dict[str, Any] = {}

    @property
    def selection(self) -> str:
        """How C is chosen, as the row says it."""
        if self.C is not None:
            return f"C fixed at {self.C:g}"
        return "validation accuracy, then log-loss, then the smaller C; upward until neither gets better"

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        classes: int,
        key: Key,
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
        text: TextPrompts | None = None,
    ) -> ElasticProbe:
        """Fit on (n, d) features and (n,) labels in [0, c); neither ``key`` nor ``text`` is used.

        A class without rows gets no logit (-inf).

        Raises:
            UsageError: when C is to be chosen and ``val`` is missing.
            DataError: when fewer than two classes have rows, or no feature varies.
        """
        present, y = np.unique(labels, return_inverse=True)
        if len(present) < 2:
            raise DataError(f"{self.name} was given rows of {len(present)} class: expected 2 or more")
        X = features.astype(np.float64)
        scale = float(np.sqrt(np.square(X - X.mean(0)).sum(1).mean()))
        if not (scale > 0 and np.isfinite(scale)):
            raise DataError(f"{self.name} was given rows that are all the same, or not finite")
        path = SparsePath(
            X / scale,
            y.astype(np.int64),
            len(present),
            l1_ratio=self.l1_ratio,
            max_iter=self.max_iter,
            gap=self.gap,
        )
        self._weights = np.zeros((features.shape[1], classes))
        self._bias = np.full(classes, -np.inf)
        if self.C is not None:
            C, solution = self.C, path.solve(self.C)
            self._facts = {"C": C}
        else:
            chosen, edge = self._choose(path, scale, val, present, classes)
            C, solution = chosen.C, chosen.solution
            self._facts = {
                "C": C,
                "C_at_edge": edge.value,
                "val_accuracy": chosen.accuracy,
                "val_log_loss": chosen.log_loss,
            }
        self._weights[:, present] = solution.weights / scale
        self._bias[present] = solution.bias
        self._facts |= {
            "scale": scale,
            "l1_ratio": self.l1_ratio,
            "multiple_of_empty_C": C / path.empty_C,
            "nonzero_weights": float((solution.weights != 0).mean()),
            "used_features": int((solution.weights != 0).any(1).sum()),
            "iterations": solution.iterations,
            "converged": solution.converged,
            "objective_gap": solution.gap if solution.gap is not None and np.isfinite(solution.gap) else None,
        }
        if not solution.converged:
            self._facts["warnings"] = [
                f"the probe did not converge in {solution.iterations} iterations at C={C:g};"
                f" a larger {self.name}.max_iter may help"
            ]
        return self

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of each class, (q, d) -> (q, c)."""
        logits: NDArray[np.float64] = features.astype(np.float64) @ self._weights + self._bias
        return logits

    def report(self) -> Mapping[str, Any]:
        """Tell the chosen C (in units of 1 / scale), how many weights and features it uses, and convergence."""
        return dict(self._facts)

    def _choose(
        self,
        path: SparsePath,
        scale: float,
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None,
        present: NDArray[np.int64],
        classes: int,
    ) -> tuple[Candidate, Edge]:
        rows, truth = validation_rows(val, adapter=self.name, chosen="C", instead=f"{self.name}.C=10")
        V = rows.astype(np.float64) / scale

        def candidate(C: float) -> Candidate:
            solution = path.solve(C)
            logits = np.full((len(V), classes), -np.inf)
            logits[:, present] = V @ solution.weights + solution.bias
            stands = standing(logits, truth)
            return Candidate(C, solution, stands.accuracy, stands.log_loss)

        return search_grid(candidate, [multiple * path.empty_C for multiple in self.grid])


class L1Probe(ElasticProbe):
    """Multinomial logistic regression with an L1 penalty alone (the lasso, Tibshirani 1996).

    Args:
        C, grid, max_iter, gap: as for ``ElasticProbe``.

    Example:
        >>> X, y = np.eye(3, dtype=np.float32), np.arange(3)
        >>> L1Probe(C=10.0).fit(X, y, classes=3, key=Key.of(0)).report()["used_features"]
        3
    """

    name = "linear-probe-l1"

    def __init__(
        self,
        *,
        C: float | None = None,
        grid: Sequence[float] = MULTIPLES,
        max_iter: int = 2000,
        gap: float = L1_GAP,
    ) -> None:
        super().__init__(C=C, grid=grid, l1_ratio=1.0, max_iter=max_iter, gap=gap)
