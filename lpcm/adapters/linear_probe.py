"""The linear probe: L2 logistic regression with C chosen on validation rows. Refuses to guess C without."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.adapters.logistic import PathSolver, Solution, log_loss
from lpcm.adapters.published import LooksAt, Published
from lpcm.adapters.search import GRID, Candidate, Edge, Search, search_grid, search_two_stage
from lpcm.adapters.tuning import Fold, Tuned
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts


class Scale(str, Enum):
    """What the features are divided by, so that a C means the same for every encoder."""

    RMS = "rms"  # root mean square norm of the centred training rows
    NONE = "none"  # nothing: C depends on the features' units


class Solver(str, Enum):
    """Who solves a problem of given C."""

    PATH = "path"  # to a certified distance from the minimum, warm from C to C
    TORCH = "torch"  # the same in torch, float32 for as long as it will do: for large problems
    SKLEARN = "sklearn"  # scikit-learn's LogisticRegression as it comes (lbfgs, tol 1e-4), cold for each C


LARGE = 1_000_000_000
"""Products n d c of a pass over the training rows from which the solver is torch unless one is named."""


class LinearProbe:
    """L2 multinomial logistic regression on frozen features; the intercept is not penalised.

    Args:
        C: inverse strength of the penalty (``lpcm.adapters.logistic``); ``None`` chooses it on validation.
        grid: the C to choose from.
        search: ``"grid"`` or ``"two-stage"``.
        scale: ``"rms"`` or ``"none"``.
        solver: ``"path"``, ``"torch"`` or ``"sklearn"``; ``None`` takes ``"torch"`` from ``LARGE`` products on,
            else ``"path"``.
        max_iter: solver iterations at most, for each C.

    Source: Radford et al. 2021, section 3.2; the problem is scikit-learn's ``LogisticRegression``.

    Example:
        >>> X, y = np.eye(3, dtype=np.float32), np.arange(3)
        >>> LinearProbe(C=1.0).fit(X, y, classes=3, key=Key.of(0)).logits(X).argmax(1)
        array([0, 1, 2])
    """

    published = Published(
        settings_on=LooksAt.FEW,
        settings={"search": Search.TWO_STAGE.value, "scale": Scale.NONE.value},
        rule="C is that of the best accuracy on few-shot validation rows, by a coarse sweep and then by bisection",
        source="linear probe of CLIP in the released code of Zhou et al. 2022",
    )

    def __init__(
        self,
        *,
        C: float | None = None,
        grid: Sequence[float] = GRID,
        search: str = Search.GRID.value,
        scale: str = Scale.RMS.value,
        solver: str | None = None,
        max_iter: int = 2000,
    ) -> None:
        if C is not None and not C > 0:
            raise UsageError(f"C is {C}: expected a number above 0")
        if not grid or not all(point > 0 for point in grid):
            raise UsageError(f"grid is {list(grid)}: expected one or more numbers above 0")
        self.C = C
        self.grid = tuple(float(point) for point in grid)
        self.search = _member(Search, search, "search")
        self.scale = _member(Scale, scale, "scale")
        self.solver: Solver | None = None if solver is None else _member(Solver, solver, "solver")
        self.max_iter = max_iter
        self._facts: dict[str, Any] = {}

    @property
    def selection(self) -> str:
        """How C is chosen, as the row says it."""
        if self.C is not None:
            return f"C fixed at {self.C:g}"
        if self.search is Search.TWO_STAGE:
            return "validation accuracy, coarse sweep then bisection"
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
    ) -> LinearProbe:
        """Fit on (n, d) features and (n,) labels in [0, c); neither ``key`` nor ``text`` is used.

        A class without rows gets no logit (-inf).

        Raises:
            UsageError: when C is to be chosen and ``val`` is missing.
            DataError: when fewer than two classes have rows.
        """
        X, scale = self._scaled(features)
        present, solver, solve = self._problem(X, labels)
        if self.C is not None:
            solution = solve(self.C)
            facts: dict[str, Any] = {"C": self.C}
        else:
            chosen, edge = self._search(self._judge(solve, scale, val, present))
            solution = chosen.solution
            facts = {
                "C": chosen.C,
                "C_at_edge": edge.value,
                "val_accuracy": chosen.accuracy,
                "val_log_loss": chosen.log_loss,
            }
        self._weights = np.zeros((features.shape[1], classes))
        self._bias = np.full(classes, -np.inf)
        self._weights[:, present] = solution.weights / scale
        self._bias[present] = solution.bias
        self._facts = {
            **facts,
            "scale": scale,
            "solver": solver.value,
            "iterations": solution.iterations,
            "converged": solution.converged,
        }
        if solution.gap is not None:
            self._facts["objective_gap"] = solution.gap
        if not solution.converged:
            self._facts["warnings"] = [
                f"the probe did not converge in {solution.iterations} iterations at C={facts['C']:g};"
                " a larger linear-probe.max_iter may help"
            ]
        return self

    def tune(self, folds: Sequence[Fold], *, classes: int, key: Key) -> Tuned:
        """Choose C on average over folds (``lpcm.adapters.tuning``), along one path a fold; ``key`` is not used.

        Raises:
            UsageError: when C is to be chosen and a fold has no validation rows.
            DataError: when fewer than two classes of a fold have rows.
        """
        if self.C is not None:
            return Tuned()
        judges = []
        for fold in folds:
            X, scale = self._scaled(fold.features)
            present, _, solve = self._problem(X, fold.labels)
            judges.append(self._judge(solve, scale, fold.val, present))

        def judge(C: float) -> Candidate:
            found = [one(C) for one in judges]
            accuracy = round(float(np.mean([f.accuracy for f in found])), 12)
            return Candidate(
                C, found[0].solution, accuracy, round(float(np.mean([f.log_loss for f in found])), 12)
            )

        best, edge = self._search(judge)
        facts = {"folds_accuracy": best.accuracy, "folds_log_loss": best.log_loss}
        return Tuned({"C": best.C}, {"C_at_edge": edge.value, **facts})

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of each class, (q, d) -> (q, c)."""
        logits: NDArray[np.float64] = features.astype(np.float64) @ self._weights + self._bias
        return logits

    def report(self) -> Mapping[str, Any]:
        """Tell the chosen C (in units of 1 / scale^2), whether it is at the grid's edge, and convergence."""
        return dict(self._facts)

    def _scaled(self, features: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
        X = features.astype(np.float64)
        if self.scale is Scale.NONE:
            return X, 1.0
        # One number for all features: a scale for each would not commute with rotations.
        scale = float(np.sqrt(np.square(X - X.mean(0)).sum(1).mean()))
        if not (scale > 0 and np.isfinite(scale)):
            raise DataError("the linear probe was given rows that are all the same, or not finite")
        return X / scale, scale

    def _solver_for(self, products: int) -> Solver:
        if self.solver is None:
            return Solver.TORCH if products >= LARGE else Solver.PATH
        return self.solver

    def _solve_by(
        self, solver: Solver, X: NDArray[np.float64], y: NDArray[np.int64], classes: int
    ) -> Callable[[float], Solution]:
        if solver is Solver.PATH:
            return PathSolver(X, y, classes, max_iter=self.max_iter).solve
        if solver is Solver.TORCH:
            from lpcm.solvers.logistic_torch import TorchPath

            path = TorchPath([X], [y], classes, max_iter=self.max_iter)
            return lambda C: path.solve(C)[0]
        return lambda C: _solve_sklearn(X, y, C, self.max_iter)

    def _problem(
        self, X: NDArray[np.float64], labels: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], Solver, Callable[[float], Solution]]:
        """The classes that have rows, who solves, and the solution of any C."""
        present, y = np.unique(labels, return_inverse=True)
        if len(present) < 2:
            raise DataError(f"the linear probe was given rows of {len(present)} class: expected 2 or more")
        solver = self._solver_for(X.size * len(present))
        return present, solver, self._solve_by(solver, X, y.astype(np.int64), len(present))

    def _search(self, judge: Callable[[float], Candidate]) -> tuple[Candidate, Edge]:
        if self.search is Search.TWO_STAGE:
            return search_two_stage(judge)
        return search_grid(judge, self.grid)

    def _judge(
        self,
        solve: Callable[[float], Solution],
        scale: float,
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None,
        present: NDArray[np.int64],
    ) -> Callable[[float], Candidate]:
        """What validation rows say of any C."""
        if val is None or not len(val[1]):
            raise UsageError(
                "the linear probe chooses C on validation rows and was given none",
                "give it validation rows, or fix C: --set linear-probe.C=1",
            )
        V, labels = val[0].astype(np.float64) / scale, val[1]
        seen = np.isin(labels, present)
        rows = V[seen]
        truth = np.searchsorted(present, labels[seen])

        def candidate(C: float) -> Candidate:
            solution = solve(C)
            logits = rows @ solution.weights + solution.bias
            right = int((logits.argmax(1) == truth).sum())
            loss = log_loss(logits, truth) if len(truth) else 0.0
            return Candidate(C, solution, right / len(labels), loss)

        return candidate


def _solve_sklearn(X: NDArray[np.float64], y: NDArray[np.int64], C: float, max_iter: int) -> Solution:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = LogisticRegression(C=C, max_iter=max_iter).fit(X, y)
    converged = True
    for warning in caught:
        if issubclass(warning.category, ConvergenceWarning):
            converged = False  # told in the report
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    weights, bias = model.coef_.T, model.intercept_
    if weights.shape[1] == 1:  # two classes: one logit against 0
        weights, bias = np.hstack([np.zeros_like(weights), weights]), np.array([0.0, bias[0]])
    return Solution(weights, bias, int(model.n_iter_.max()), converged)


def _member(enum: type[Any], value: str, name: str) -> Any:
    try:
        return enum(value)
    except ValueError:
        known = " or ".join(repr(member.value) for member in enum)
        raise UsageError(f"{name} is {value!r}: expected {known}") from None
