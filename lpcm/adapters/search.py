"""How C is chosen on validation rows. Refuses to look at anything else."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from lpcm.adapters.logistic import Solution

GRID = (1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6)
"""C for rows of root-mean-square norm 1. At the lower end the classifier is that of the class means."""

COARSE = (1e6, 1e4, 1e2, 1e0, 1e-2, 1e-4, 1e-6)
"""First stage of the two-stage search, in the order in which ties are broken."""

BISECTIONS = 8

PATIENCE = 2
"""Steps up the grid without a better accuracy or log-loss after which the search ends."""


class Search(str, Enum):
    """How C is searched."""

    GRID = "grid"  # validation accuracy, then log-loss, then the smaller C; upward until neither gets better
    TWO_STAGE = "two-stage"  # validation accuracy over a coarse sweep, then bisection


@dataclass(frozen=True, eq=False)
class Candidate:
    """A fitted C and what validation says of it (log-loss in nats)."""

    C: float
    solution: Solution
    accuracy: float
    log_loss: float


class Edge(str, Enum):
    """Whether the best C is the first or last of its grid, so that a wider grid might hold a better one."""

    LOWER = "lower"
    UPPER = "upper"
    NONE = "none"


def search_grid(fit: Callable[[float], Candidate], grid: Sequence[float]) -> tuple[Candidate, Edge]:
    """Find the C of best validation accuracy; ties go to the lower log-loss, then to the smaller C.

    The search goes upward and ends when neither accuracy nor log-loss got better in ``PATIENCE`` steps: beyond
    that, weights only grow along a direction that is already decided, and most of a path's time is spent there.
    """
    ascending = sorted(grid)
    tried: list[Candidate] = []
    stale = 0
    for C in ascending:
        found = fit(C)
        better = not tried or (
            found.accuracy > max(t.accuracy for t in tried) or found.log_loss < min(t.log_loss for t in tried)
        )
        tried.append(found)
        stale = 0 if better else stale + 1
        if stale == PATIENCE:
            break
    best = min(tried, key=lambda found: (-found.accuracy, found.log_loss, found.C))
    edges = {ascending[0]: Edge.LOWER, ascending[-1]: Edge.UPPER}
    return best, edges.get(best.C, Edge.NONE)


def search_two_stage(fit: Callable[[float], Candidate]) -> tuple[Candidate, Edge]:
    """Sweep coarsely by validation accuracy, then halve the decade on either side eight times.

    Each step fits both ends, keeps the better (the lower one on a tie) and moves the other to the middle,
    in log C. The answer is what the last step kept.

    Source: the linear probe of "Beyond DAGs" (arXiv 2402.06223), as in CoOp's (Zhou et al. 2022).
    """
    known: dict[float, Candidate] = {}

    def fitted(log_C: float) -> Candidate:
        if log_C not in known:
            known[log_C] = fit(10.0**log_C)
        return known[log_C]

    sweep = [fitted(math.log10(C)) for C in COARSE]
    peak = max(sweep, key=lambda found: found.accuracy)  # the first of equals: the largest C
    edge = Edge.UPPER if peak is sweep[0] else Edge.LOWER if peak is sweep[-1] else Edge.NONE
    left, right = math.log10(peak.C) - 1, math.log10(peak.C) + 1
    kept = peak
    for _ in range(BISECTIONS):
        middle = (left + right) / 2
        if fitted(left).accuracy < fitted(right).accuracy:
            kept, left = fitted(right), middle
        else:
            kept, right = fitted(left), middle
    return kept, edge
