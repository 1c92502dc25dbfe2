"""The memory of L-BFGS for several problems at once. Refuses pairs that show no positive curvature."""

from __future__ import annotations

from collections import deque

import torch


class Memory:
    """The last steps and changes of gradient of s independent problems.

    Args:
        size: pairs that are kept.

    Source: J. Nocedal, "Updating quasi-Newton matrices with limited storage", 1980: the two-loop recursion.
    """

    def __init__(self, size: int = 8) -> None:
        self._pairs: deque[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = deque(maxlen=size)

    def add(self, step: torch.Tensor, change: torch.Tensor) -> None:
        """Remember a step and the change of the gradient along it, each (s, p)."""
        curvature = torch.linalg.vecdot(step, change)
        # A problem that stood still, or whose pair is rounding, gets a weight of 0: its pair has no say.
        real = curvature > 1e-10 * torch.linalg.vecdot(change, change)
        inverse = torch.where(real, 1 / curvature, 0.0)
        self._pairs.append((step, change, inverse))

    def direction(self, gradient: torch.Tensor) -> torch.Tensor:
        """Minus the approximate inverse Hessian times the gradient, (s, p)."""
        q = gradient.clone()
        weights = []
        for step, change, inverse in reversed(self._pairs):
            weight = inverse * torch.linalg.vecdot(step, q)
            q -= weight[:, None] * change
            weights.append(weight)
        q *= self._scale(gradient)[:, None]
        for (step, change, inverse), weight in zip(self._pairs, reversed(weights), strict=True):
            q += (weight - inverse * torch.linalg.vecdot(change, q))[:, None] * step
        return -q

    def _scale(self, gradient: torch.Tensor) -> torch.Tensor:
        scale = torch.ones_like(gradient[:, 0])
        for step, change, inverse in self._pairs:
            newest = torch.linalg.vecdot(step, change) / torch.linalg.vecdot(change, change)
            scale = torch.where(inverse > 0, newest, scale)
        return scale
