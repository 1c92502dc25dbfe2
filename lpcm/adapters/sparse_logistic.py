"""Multinomial logistic regression with an L1 or elastic-net penalty, along a path of C. Refuses to choose C.

The problem is that of scikit-learn's LogisticRegression: minimise over W (d, c) and b (c), with r the l1_ratio,

    C * sum_i -log softmax(x_i W + b)[y_i]  +  r |W|_1  +  (1 - r) / 2 |W|^2 .

It is solved by accelerated proximal gradient steps (Beck and Teboulle 2009, FISTA) with a step length that is
searched up and down, since the bound from the curvature 1/2 of softmax is some c times too careful, and with
restarts (O'Donoghue and Candes 2015). What certifies the end is the duality gap: for any class probabilities p
whose columns sum to the class counts, with R = C (p - Y) and V = -X' R,

    minimum >= C * sum_i entropy(p_i) - sum_jk max(|V_jk| - r, 0)^2 / (2 (1 - r)) ,

where for r = 1 the last term is absent and R is shrunk until |V| <= 1, which mixes p with Y. The probabilities
of the iterate get those column sums by fitting b alone.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from lpcm.adapters.logistic import Solution

GAP = 1e-4
"""Relative duality gap at which a solution counts as converged: below what validation accuracy can feel."""

_CHECK = 10  # steps from one certificate to the next, which costs about one step
_BALANCE = 1e-10  # largest relative error of a column sum that counts as none
_Rows = NDArray[np.float64]


class SparsePath:
    """Solves for one C after another, each from where the last one ended.

    Args:
        X: (n, d) training features, float64.
        y: (n,) labels; each of 0 .. classes - 1 occurs.
        classes: c, 2 or more.
        l1_ratio: r, above 0 (else use ``lpcm.adapters.logistic``) and at most 1.
        max_iter: proximal steps at most, for each C.
        gap: relative duality gap at which to stop.

    Attributes:
        empty_C: the largest C at which W is zero, r / max |X' (p - Y)| with p the class frequencies.
    """

    def __init__(
        self,
        X: _Rows,
        y: NDArray[np.int64],
        classes: int,
        *,
        l1_ratio: float,
        max_iter: int = 2000,
        gap: float = GAP,
    ) -> None:
        self.l1_ratio, self.max_iter, self.gap = l1_ratio, max_iter, gap
        n = len(X)
        self._centre = X.mean(0)
        # The intercept is the weight of a constant of the rows' size, so that one step length suits both.
        self._size = float(np.sqrt(np.square(X - self._centre).sum(1).mean())) or 1.0
        self._rows = np.hstack([X - self._centre, np.full((n, 1), self._size)])
        self._truth = np.zeros((n, classes))
        self._truth[np.arange(n), y] = 1.0
        self._counts = self._truth.sum(0)
        self._w = np.zeros((self._rows.shape[1], classes))
        self._w[-1] = np.log(self._counts / n) / self._size
        self._curvature = float(np.linalg.norm(self._rows, 2) ** 2) / n  # of the loss over C, a first guess
        correlation = (self._rows.T @ (self._counts / n - self._truth))[:-1]
        self.empty_C = l1_ratio / max(float(np.abs(correlation).max()), np.finfo(np.float64).tiny)

    def solve(self, C: float) -> Solution:
        """Solve for one C > 0."""
        found, reached, steps = self._w, np.inf, 0
        scores = self._rows @ found
        ahead, ahead_scores = found, scores
        pace = 1.0
        curvature = self._curvature
        for steps in range(1, self.max_iter + 1):
            if steps % _CHECK == 1:
                found, scores, reached = self._certified(found, scores, C)
                if reached <= self.gap:
                    break
                if steps > 1:
                    ahead = ahead.copy()
                    ahead[-1] = found[-1]  # the intercept has just been fitted exactly
                    ahead_scores = self._rows @ ahead
                else:
                    ahead, ahead_scores = found, scores
            value, p = self._loss(ahead_scores, C)
            slope = C * (self._rows.T @ (p - self._truth))
            curvature *= 0.9
            while True:
                step = C * curvature
                new = self._shrink(ahead - slope / step, 1 / step)
                new_scores = self._rows @ new
                move = new - ahead
                bound = value + float(np.vdot(slope, move)) + 0.5 * step * float(np.vdot(move, move))
                # Rounding: near the minimum the two sides agree in all digits that they have.
                if self._loss(new_scores, C)[0] <= bound + 1e-12 * abs(value):
                    break
                curvature *= 2
            next_pace = (1 + np.sqrt(1 + 4 * pace**2)) / 2
            weight = (pace - 1) / next_pace
            if float(np.vdot(move, new - found)) < 0:  # momentum points uphill
                next_pace, weight = 1.0, 0.0
            ahead, ahead_scores = new + weight * (new - found), new_scores + weight * (new_scores - scores)
            found, scores, pace = new, new_scores, next_pace
        else:
            found, scores, reached = self._certified(found, scores, C)
        self._w, self._curvature = found, curvature
        weights = found[:-1]
        bias = found[-1] * self._size - self._centre @ weights
        return Solution(weights, bias, steps, reached <= self.gap, reached)

    def _certified(self, w: _Rows, scores: _Rows, C: float) -> tuple[_Rows, _Rows, float]:
        """The point with its intercept fitted, its scores, and the relative duality gap there."""
        w = w.copy()
        change, p = self._balanced(scores)
        if change is None:
            return w, scores, np.inf  # without balance there is no bound
        w[-1] += change / self._size
        scores = scores + change
        V = -C * (self._rows[:, :-1].T @ (p - self._truth))
        r = self.l1_ratio
        loss, _ = self._loss(scores, C)
        size = np.abs(w[:-1])
        primal = loss + r * float(size.sum()) + (1 - r) / 2 * float(np.square(size).sum())
        if r == 1:
            part = min(1.0, 1 / max(float(np.abs(V).max()), 1e-300))
            mixed = self._truth + part * (p - self._truth)
            dual = -C * float(xlogy(mixed, mixed).sum())
        else:
            over = np.maximum(np.abs(V) - r, 0)
            dual = -C * float(xlogy(p, p).sum()) - float(np.square(over).sum()) / (2 * (1 - r))
        return w, scores, max(primal - dual, 0.0) / primal

    def _balanced(self, scores: _Rows) -> tuple[_Rows | None, _Rows]:
        """What to add to the intercepts so that every column sum is the class count, and the probabilities then.

        Newton's steps on the loss in the intercepts alone; where one does not help, probabilities being 0 or 1, the
        columns are scaled instead, which always does but needs hundreds of rounds. ``None`` when neither got there.
        """
        c = len(self._counts)
        change = np.zeros(c)
        p = _softmax(scores)
        off = np.abs(p.sum(0) / self._counts - 1).max()
        for _ in range(500):
            if off <= _BALANCE:
                return change, p
            sums = p.sum(0)
            # Adding one number to all intercepts changes nothing: the constant block takes that direction out.
            hessian = np.diag(sums) - p.T @ p + sums.mean() / c
            tries = [change + np.log(self._counts / sums)]
            with suppress(np.linalg.LinAlgError):  # every probability is 0 or 1: scaling is what is left
                tries.insert(0, change + np.linalg.solve(hessian, self._counts - sums))
            for tried in tries:
                p_tried = _softmax(scores + tried)
                off_tried = np.abs(p_tried.sum(0) / self._counts - 1).max()
                if off_tried < off:
                    break
            change, p, off = tried, p_tried, off_tried
        return None, p

    def _shrink(self, w: _Rows, step: float) -> _Rows:
        """The proximal map of the penalty; the intercept, in the last row, has none."""
        r = self.l1_ratio
        shrunk = np.sign(w) * np.maximum(np.abs(w) - step * r, 0) / (1 + step * (1 - r))
        shrunk[-1] = w[-1]
        return shrunk

    def _loss(self, scores: _Rows, C: float) -> tuple[float, _Rows]:
        """C times the summed -log softmax of the labels, and the probabilities."""
        shifted = scores - scores.max(1, keepdims=True)
        p = np.exp(shifted)
        sums = p.sum(1, keepdims=True)
        return C * float(np.log(sums).sum() - np.vdot(self._truth, shifted)), p / sums


def _softmax(scores: _Rows) -> _Rows:
    p: _Rows = np.exp(scores - scores.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return p
