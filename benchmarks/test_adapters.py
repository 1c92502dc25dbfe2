"""Tip-Adapter's published grid against the loop that evaluates each of its points.

Run by itself, on an otherwise idle machine: ``pytest benchmarks/test_adapters.py -s``.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch

from lpcm.adapters.cache import Cache
from lpcm.adapters.cache_search import Search, choose_point, count_right, make_grid
from lpcm.adapters.prompts import unit
from lpcm.keys import Key

Q, SHOTS, D, CLASSES, ROUNDS, POINTS = 2000, 16, 512, 100, 3, 12


def literal_point(
    queries: torch.Tensor,
    labels: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    texts: torch.Tensor,
    alpha: float,
    beta: float,
) -> int:
    """One point as the formula reads, in float32: nothing is kept from the last one."""
    votes = torch.exp(-beta * (1 - queries @ keys.T)) @ values
    logits = 100 * queries @ texts.T + alpha * votes
    return int((logits.argmax(1) == labels).sum())


def test_the_published_grid_is_searched_at_least_ten_times_faster_than_point_by_point():
    generator = Key.of(0).fold("tip grid").generator()
    centres = generator.standard_normal((CLASSES, D))

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(n) % CLASSES
        return unit(centres[labels] + 2.5 * generator.standard_normal((n, D))), labels

    (queries, truth), (shots, labels) = draw(Q), draw(SHOTS * CLASSES)
    texts = unit(centres + 4 * generator.standard_normal((CLASSES, D)))
    cache, zero_shot = Cache.of(shots, labels, CLASSES), 100 * queries @ texts.T
    grid = make_grid(Search.PUBLISHED, None, None)
    tensors = [
        torch.from_numpy(a.astype(np.float32)) for a in (queries, shots, np.eye(CLASSES)[labels], texts)
    ]
    points = [(b, a) for b in range(len(grid.betas)) for a in range(len(grid.alphas))]
    tried = points[:: len(points) // POINTS][:POINTS]

    literal, ours, counts = [], [], {}
    for _ in range(ROUNDS):  # interleaved: what else the machine does falls on both alike
        started = time.perf_counter()
        for b, a in tried:
            counts[b, a] = literal_point(
                tensors[0], torch.from_numpy(truth), *tensors[1:], grid.alphas[a], grid.betas[b]
            )
        literal.append((time.perf_counter() - started) / len(tried) * len(points))
        started = time.perf_counter()
        choice = choose_point(zero_shot, cache, queries, truth, grid)
        ours.append(time.perf_counter() - started)
    ratio = statistics.median(a / b for a, b in zip(literal, ours, strict=True))
    print(
        f"\nq={Q}, cache {SHOTS * CLASSES}, d={D}, c={CLASSES}, {torch.get_num_threads()} threads, {choice}"
    )
    print(
        f"literal: {statistics.median(literal):.1f} s for {len(points)} points ({len(tried)} timed, the rest alike)"
    )
    print(f"choose_point: {statistics.median(ours):.2f} s; ratio {ratio:.0f}")
    right = count_right(zero_shot, cache, queries, truth, grid)
    # float32 in the loop and float64 here: a row whose two best logits are within 1e-5 may go either way.
    assert all(abs(int(right[b, a, 0]) - counts[b, a]) <= 2 for b, a in tried)
    assert ratio >= 10
