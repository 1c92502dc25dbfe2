"""Cross-modal adaptation: the class prompts are further training rows of a linear probe.

Refuses encoders that read no text: without it there is nothing to cross, and linear-probe is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.adapters.logistic import PathSolver
from lpcm.adapters.prompts import class_vectors, unit
from lpcm.adapters.published import LooksAt, Published
from lpcm.adapters.search import Candidate, Edge, search_grid
from lpcm.adapters.validation import standing, validation_rows
from lpcm.errors import UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts

GRID = (1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3)
"""Less far than linear-probe's, since every decade above 10 costs three times the one before: the gap between
the modalities makes the problem stiff. The row says when the last one was chosen."""

GAP = 1e-4
"""Below what validation accuracy can feel."""


class CrossModal:
    """L2 logistic regression on the unit shots and, beside them, the unit class vectors.

        minimise  C ( sum_i loss(f_i, y_i) + m sum_c loss(t_c, c) )  +  1/2 |W|^2

    with m copies of each class vector. At the default m = n / c, rounded, each modality has half of the weight,
    as in the published batches, which are half image and half text.

    Args:
        C: inverse penalty, as of linear-probe; ``None`` chooses it on validation.
        grid: the C to choose from.
        copies: m, 1 or more; ``None`` balances the modalities.
        max_iter: solver iterations at most, for each C.
        gap: relative distance to the minimum at which a solution counts as converged.

    Source: Lin et al. 2023, "Multimodality helps unimodality" (CVPR), with a linear head.

    Example:
        >>> prompts = TextPrompts(np.eye(2, 3, dtype=np.float32), ("cat", "dog"))
        >>> X = np.array([[1, 0, 1], [0, 1, 1]], np.float32)
        >>> CrossModal(C=1.0).fit(X, np.arange(2), classes=2, key=Key.of(0), text=prompts).logits(X).argmax(1)
        array([0, 1])
    """

    published = Published(
        settings_on=LooksAt.FEW,
        rule="the settings are those of the best accuracy on few-shot validation rows",
        source="released code of Lin et al. 2023",
    )

    def __init__(
        self,
        *,
        C: float | None = None,
        grid: Sequence[float] = GRID,
        copies: int | None = None,
        max_iter: int = 2000,
        gap: float = GAP,
    ) -> None:
        if copies is not None and copies < 1:
            raise UsageError(f"copies is {copies}: expected a whole number of 1 or more")
        if C is not None and not C > 0:
            raise UsageError(f"C is {C}: expected a number above 0")
        if not grid or not all(point > 0 for point in grid):
            raise UsageError(f"grid is {list(grid)}: expected one or more numbers above 0")
        if not gap > 0:
            raise UsageError(f"gap is {gap}: expected a number above 0")
        self.C = C
        self.grid = tuple(float(point) for point in grid)
        self.copies = copies
        self.max_iter = max_iter
        self.gap = gap

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
    ) -> CrossModal:
        """Fit on (n, d) features, (n,) labels in [0, c) and the prompts; ``key`` is not used.

        A class without rows still has its prompt, and is learnt from it.

        Raises:
            UsageError: when there is no text, or C is to be chosen and ``val`` is missing.
            DataError: when the prompts do not fit the features.
        """
        vectors = class_vectors(text, classes=classes, width=features.shape[1], adapter="cross-modal")
        copies = max(1, round(len(labels) / classes)) if self.copies is None else self.copies
        X = np.concatenate([unit(features), np.tile(vectors, (copies, 1))])
        y = np.concatenate([labels, np.tile(np.arange(classes, dtype=np.int64), copies)])
        scale = float(np.sqrt(np.square(X - X.mean(0)).sum(1).mean()))
        path = PathSolver(X / scale, y, classes, max_iter=self.max_iter, gap=self.gap)
        facts: dict[str, Any] = {"copies": copies, "scale": scale}
        if self.C is not None:
            C, solution = self.C, path.solve(self.C)
        else:
            chosen, edge = self._choose(path, scale, val)
            C, solution = chosen.C, chosen.solution
            facts |= {
                "C_at_edge": edge.value,
                "val_accuracy": chosen.accuracy,
                "val_log_loss": chosen.log_loss,
            }
        self._weights, self._bias = solution.weights / scale, solution.bias
        facts |= {
            "C": C,
            "iterations": solution.iterations,
            "converged": solution.converged,
            "objective_gap": solution.gap,
        }
        if not solution.converged:
            facts["warnings"] = [
                f"the probe did not converge in {solution.iterations} iterations at C={C:g};"
                " a larger cross-modal.max_iter may help"
            ]
        self._facts = facts
        return self

    def _choose(
        self, path: PathSolver, scale: float, val: tuple[NDArray[np.float32], NDArray[np.int64]] | None
    ) -> tuple[Candidate, Edge]:
        rows, truth = validation_rows(val, adapter="cross-modal", chosen="C", instead="cross-modal.C=1")
        V = unit(rows) / scale

        def candidate(C: float) -> Candidate:
            solution = path.solve(C)
            stands = standing(V @ solution.weights + solution.bias, truth)
            return Candidate(C, solution, stands.accuracy, stands.log_loss)

        return search_grid(candidate, self.grid)

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of each class, (q, d) -> (q, c)."""
        logits: NDArray[np.float64] = unit(features) @ self._weights + self._bias
        return logits

    def report(self) -> Mapping[str, Any]:
        """Tell the chosen C (in units of 1 / scale^2), the copies of each class vector, and convergence."""
        return dict(self._facts)
