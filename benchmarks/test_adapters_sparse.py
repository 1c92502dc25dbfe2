"""Sparse probes whose certificates are balanced by Newton's steps, against balancing by scaling the columns.

Run by itself: ``pytest benchmarks/test_adapters_sparse.py -s``. Processor time of one thread, since other work on
the machine does not count there.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from lpcm.adapters import sparse_logistic
from lpcm.adapters.sparse_logistic import SparsePath
from lpcm.keys import Key

N, D, CLASSES, ROUNDS = 800, 384, 50, 3
MULTIPLES = (8.0, 64.0, 256.0)


class ByScaling(SparsePath):
    """The same path, each certificate balanced by adding log(count / sum) until the sums agree."""

    def _balanced(self, scores: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        change = np.zeros(len(self._counts))
        for _ in range(500):
            p = sparse_logistic._softmax(scores + change)
            sums = p.sum(0)
            if np.abs(sums / self._counts - 1).max() <= 1e-10:
                return change, p
            change = change + np.log(self._counts / sums)
        return None, p


def rows() -> tuple[np.ndarray, np.ndarray]:
    """Overlapping classes whose spectrum falls as that of an encoder does, of mean squared norm 1."""
    generator = Key.of(0).fold("rows").generator()
    y = np.arange(N) % CLASSES
    fall = 1 / np.sqrt(1 + np.arange(D) / 10)
    X = fall * (generator.standard_normal((CLASSES, D))[y] + 0.7 * generator.standard_normal((N, D)))
    return X / np.sqrt(np.square(X - X.mean(0)).sum(1).mean()), y


@pytest.mark.parametrize(("l1_ratio", "gap"), [(1.0, 1e-2), (0.5, 1e-4)])
def test_balancing_by_newton_is_faster_and_never_needs_more_steps(l1_ratio, gap):
    X, y = rows()
    ratios, seconds = [], []
    with threadpool_limits(1):
        for _ in range(ROUNDS):
            taken = []
            for kind in (SparsePath, ByScaling):
                path = kind(X, y, CLASSES, l1_ratio=l1_ratio, gap=gap)
                start = time.process_time()
                solved = [path.solve(multiple * path.empty_C) for multiple in MULTIPLES]
                taken.append((time.process_time() - start, solved))
            (fast, found), (slow, expected) = taken
            ratios.append(slow / fast)
            seconds.append(fast)
            # Where scaling does not get there in its 500 rounds there is no bound, and the path goes on for longer.
            assert all(ours.converged for ours in found)
            assert all(a.iterations <= b.iterations for a, b in zip(found, expected, strict=True))
    ratio = statistics.median(ratios)
    print(f"\nl1_ratio {l1_ratio}: {ratio:.2f} times, {statistics.median(seconds):.2f} s")
    assert ratio > 1.2
