"""Multinomial logistic regression along a path of C in torch, several problems at once. Refuses to choose C.

The problem, its coordinates, its preconditioner and its certificate are those of ``lpcm.adapters.logistic``. What
is added is for 1,000 classes and tens of thousands of rows:

- logits are linear in the weights, so that along a search direction Z(t) = Z + t Z_d. However many steps t are
  tried, an iteration costs two matrix products: Z_d, and the gradient where the search ended. Along a direction
  the objective is convex, so the step is found by the sign of its slope.
- products are taken in float32 for as long as they make progress, then in float64, where the certificate is
  measured.
- problems of equal shape, such as the seeds of a study, are solved together; each has its own step, memory and
  end. Fewer rows, or a lower rank, are padded with rows of weight 0 and columns of 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lpcm.adapters.logistic import Solution, row_space
from lpcm.errors import DataError, MissingError
from lpcm.solvers.quasi_newton import Memory

GAP = 1e-6
"""Relative distance to the minimum, as bounded by the gradient, at which a solution counts as converged."""

_SLOPE = 0.5  # a step is taken once its slope is this much flatter than at the start
_TRIALS = 12
_STALLED = 1e-7  # relative progress of float32 below which float64 takes over


@dataclass(frozen=True, eq=False)
class _Point:
    """Where a search stands: ``value`` (s,), ``residual`` (s, n, c) = weighted softmax minus truth."""

    value: torch.Tensor
    residual: torch.Tensor


class TorchPath:
    """Solves several problems for one C after another, each from where the last one ended.

    Args:
        X: s matrices (n, d) of training features; n may differ.
        y: s vectors of labels; each of 0 .. classes - 1 occurs in each.
        classes: c, 2 or more.
        max_iter: L-BFGS iterations at most, for each C.
        gap: relative distance to the minimum at which to stop.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.

    Raises:
        DataError: when there is no problem, or problems differ in width.
        MissingError: when ``device`` is a GPU and torch sees none.

    Example:
        >>> X, y = np.eye(3), np.arange(3)
        >>> one, other = TorchPath([X, X[::-1]], [y, y], 3).solve(1.0)
        >>> (X @ one.weights + one.bias).argmax(1)
        array([0, 1, 2])
    """

    def __init__(
        self,
        X: Sequence[NDArray[np.floating]],
        y: Sequence[NDArray[np.int64]],
        classes: int,
        *,
        max_iter: int = 2000,
        gap: float = GAP,
        device: str = "cpu",
    ) -> None:
        if device != "cpu" and not torch.cuda.is_available():
            raise MissingError(f"device is {device!r} and torch sees no GPU", "take device=cpu")
        if not X or len({rows.shape[1] for rows in X}) != 1:
            raise DataError(
                f"problems of widths {sorted({rows.shape[1] for rows in X})}: expected one or more of one width"
            )
        self.max_iter = max_iter
        self.gap = gap
        self._centres = [rows.mean(0, dtype=np.float64) for rows in X]
        spaces = [row_space(rows - centre) for rows, centre in zip(X, self._centres, strict=True)]
        self._bases = [basis for basis, _ in spaces]
        n, r = max(map(len, X)), max(len(scales) for _, scales in spaces)
        rows_ = np.zeros((len(X), n, r + 1))
        weight, truth = np.zeros((len(X), n)), np.zeros((len(X), n), np.int64)
        scales_ = np.zeros((len(X), r))
        for place, (rows, labels, (basis, scales)) in enumerate(zip(X, y, spaces, strict=True)):
            m, width = len(rows), len(scales)
            rows_[place, :m, :width] = (rows - self._centres[place]) @ basis
            rows_[place, :m, r] = 1.0  # the intercept
            weight[place, :m], truth[place, :m], scales_[place, :width] = 1.0, labels, scales
        self._rows = torch.from_numpy(rows_).to(device)
        self._weight = torch.from_numpy(weight).to(device)
        self._truth = torch.from_numpy(truth).to(device)
        self._scales = torch.from_numpy(scales_).to(device)
        self._v = torch.zeros(len(X), r + 1, classes, dtype=torch.float64, device=device)
        self._path: list[tuple[float, torch.Tensor]] = []

    def solve(self, C: float) -> list[Solution]:
        """Solve every problem for one C > 0."""
        v = self._start(C)
        scale = self._preconditioner(C, v)
        iterations = torch.zeros(len(v), dtype=torch.int64, device=v.device)
        gaps = torch.full((len(v),), torch.inf, dtype=torch.float64, device=v.device)
        for dtype in (torch.float32, torch.float64):
            descent = _Descent(
                (self._rows / scale.mT).to(dtype), self._weight.to(dtype), self._truth, scale.to(dtype), C
            )
            left = int(self.max_iter - iterations.max())
            u, done, gaps = descent.run((v * scale).to(dtype), self.gap, left)
            v, iterations = u.double() / scale, iterations + done
        self._v = v
        self._path = [*self._path[-1:], (C, v)]
        return [self._solution(place, int(iterations[place]), float(gaps[place])) for place in range(len(v))]

    def _solution(self, place: int, iterations: int, gap: float) -> Solution:
        basis, centre = self._bases[place], self._centres[place]
        v = self._v[place].cpu().numpy()
        weights = basis @ v[: basis.shape[1]]
        return Solution(weights, v[-1] - centre @ weights, iterations, gap <= self.gap, gap)

    def _start(self, C: float) -> torch.Tensor:
        """The last solution, or where the line through the last two, in log C, is at C, if that is lower."""
        if len(self._path) < 2:
            return self._v
        (C0, v0), (C1, v1) = self._path
        step = np.log(C / C1) / np.log(C1 / C0) if C0 != C1 else 0.0
        if not 0 < step <= 2:
            return v1
        further = v1 + step * (v1 - v0)
        lower = self._objective(C, further) < self._objective(C, v1)
        return torch.where(lower[:, None, None], further, v1)

    def _objective(self, C: float, v: torch.Tensor) -> torch.Tensor:
        logits = self._rows.float() @ v.float()
        loss = self._weight * _surprise(logits, self._truth)
        return C * loss.sum(1) + 0.5 * v[:, :-1].square().sum((1, 2))

    def _preconditioner(self, C: float, v: torch.Tensor) -> torch.Tensor:
        """(s, r + 1, 1) square roots of the typical second derivatives at v; the intercept's is last."""
        p = torch.softmax(self._rows.float() @ v.float(), -1)
        n = self._weight.sum(1)
        spread = (1 - p.square().sum(-1)).double() * self._weight
        curvature = (spread.sum(1) / (n * v.shape[-1])).clamp_min(1e-8)[:, None]
        squared = torch.cat([C * curvature * self._scales.square() + 1, C * curvature * n[:, None]], 1)
        return squared.sqrt()[:, :, None]


class _Descent:
    """L-BFGS on all problems, in one precision, in preconditioned coordinates u = scale * v."""

    def __init__(
        self, rows: torch.Tensor, weight: torch.Tensor, truth: torch.Tensor, scale: torch.Tensor, C: float
    ) -> None:
        self._rows, self._weight, self._truth, self._scale, self._C = rows, weight, truth, scale, C
        # The intercept is not penalised.
        self._shrink = torch.cat([1 / scale[:, :-1].square(), torch.zeros_like(scale[:, :1])], 1)
        # Back to the gradient that the certificate is about, which counts the intercept's as scaled.
        self._unscale = torch.cat([scale[:, :-1], torch.ones_like(scale[:, :1])], 1)

    def run(
        self, u: torch.Tensor, gap: float, max_iter: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Descend from u (s, r + 1, c) until each problem's gap is met, it stalls, or iterations are spent.

        Returns:
            u, iterations of each problem, and the gap of each, both (s,).
        """
        memory = Memory()
        logits = self._rows @ u
        point = self._at(logits, self._penalty(u, u))
        gradient = self._gradient(u, point)
        gaps = self._gap(gradient, point)
        iterations = torch.zeros(len(u), dtype=torch.int64, device=u.device)
        idle = torch.zeros_like(iterations)
        # float32 is left when it no longer gains; float64 only when it gains nothing at all, five times.
        least = _STALLED if u.dtype is torch.float32 else 0.0
        for _ in range(max_iter):
            active = (gaps > gap) & (idle < (2 if u.dtype is torch.float32 else 5))
            if not active.any():
                break
            direction = memory.direction(gradient.flatten(1)).view_as(u) * active[:, None, None]
            before = point.value
            step, logits, point = self._search(u, logits, direction, point)
            moved = step[:, None, None] * direction
            u = u + moved
            following = self._gradient(u, point)
            memory.add(moved.flatten(1), (following - gradient).flatten(1))
            gradient, gaps = following, self._gap(following, point)
            idle = torch.where((before - point.value) > least * before, 0, idle + 1)
            iterations += active
        return u, iterations, gaps

    def _search(
        self, u: torch.Tensor, logits: torch.Tensor, direction: torch.Tensor, start: _Point
    ) -> tuple[torch.Tensor, torch.Tensor, _Point]:
        """A step along which the objective falls and its slope is flatter, for each problem; logits and point there."""
        along = self._rows @ direction
        fixed, linear, square = (
            self._penalty(u, u),
            self._penalty(u, direction),
            self._penalty(direction, direction),
        )

        def slope(t: torch.Tensor, point: _Point) -> torch.Tensor:
            inner = torch.linalg.vecdot(along.flatten(1), point.residual.flatten(1)).double()
            rise: torch.Tensor = self._C * inner + 2 * linear + 2 * t * square
            return rise

        low = torch.zeros_like(fixed)
        high = torch.full_like(fixed, torch.inf)
        first = low_slope = slope(low, start)
        high_slope = torch.full_like(fixed, torch.inf)
        t, settled = torch.ones_like(fixed), first >= 0
        t = torch.where(settled, 0.0, t)
        for _ in range(_TRIALS):
            tried = torch.addcmul(logits, t[:, None, None].to(logits), along)
            point = self._at(tried, fixed + 2 * t * linear + t * t * square)
            taken, here = t, slope(t, point)
            falls = point.value <= start.value * (1 + 1e-6)
            settled = settled | (falls & (here.abs() <= _SLOPE * first.abs()))
            if settled.all():
                break
            up = (here > 0) | ~falls
            high, high_slope = torch.where(up, t, high), torch.where(up, here, high_slope)
            low, low_slope = torch.where(up, low, t), torch.where(up, low_slope, here)
            # The secant's root, kept off the ends; without an upper end, further out.
            width = high - low
            root = low + width * low_slope.abs() / (low_slope.abs() + high_slope.abs())
            root = torch.maximum(torch.minimum(root, high - 0.1 * width), low + 0.1 * width)
            t = torch.where(settled, t, torch.where(high.isinf(), 3 * t, root))
        return taken.to(logits), tried, point

    def _at(self, logits: torch.Tensor, penalty: torch.Tensor) -> _Point:
        log_p = torch.log_softmax(logits, -1)
        truth = self._truth[:, :, None]
        loss = -log_p.gather(-1, truth)[:, :, 0] * self._weight
        residual = log_p.exp_().mul_(self._weight[:, :, None])
        residual.scatter_add_(-1, truth, -self._weight[:, :, None])
        return _Point(self._C * loss.sum(1, dtype=torch.float64) + penalty, residual)

    def _penalty(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return 0.5 * (self._shrink * one * other).sum((1, 2), dtype=torch.float64)

    def _gradient(self, u: torch.Tensor, point: _Point) -> torch.Tensor:
        gradient: torch.Tensor = self._C * (self._rows.mT @ point.residual) + self._shrink * u
        return gradient

    def _gap(self, gradient: torch.Tensor, point: _Point) -> torch.Tensor:
        return 0.5 * (gradient * self._unscale).double().square().sum((1, 2)) / point.value


def _surprise(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    chosen: torch.Tensor = torch.log_softmax(logits, -1).gather(-1, truth[:, :, None])[:, :, 0]
    return -chosen
