"""CCA's two grids a line at a time, against the loop over points that recomputes the votes, as released.

Run by itself, on an otherwise idle machine: ``pytest benchmarks/test_adapters_cca.py -s``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from lpcm.adapters.cca import ALPHAS, BETAS, FUSION_START, FUSIONS
from lpcm.adapters.cca_model import Model, Unmix, fit_unmixing
from lpcm.adapters.line_search import count_right
from lpcm.adapters.prompts import unit
from lpcm.keys import Key

CLASSES, SHOTS, VAL, D, ROUNDS = 50, 16, 4, 384, 3
OUTER = 10  # of the outer settings: both ways cost the same for each, the loop 20 or 100 points
STEP_BETA, STEP_GAMMA = len(BETAS) // OUTER, len(FUSIONS) // OUTER


def draw(n: int, key: Key) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(n, dtype=np.int64) % CLASSES
    centres = Key.of(0).fold("centres").generator().standard_normal((CLASSES, D))
    return unit(centres[labels] + 2 * key.generator().standard_normal((n, D))), labels


def test_a_line_at_a_time_is_ten_times_faster_than_point_by_point():
    F, y = draw(CLASSES * SHOTS, Key.of(1))
    V, truth = draw(CLASSES * VAL, Key.of(2))
    W = unit(draw(CLASSES, Key.of(3))[0])
    model = Model.of(F, y, W, fit_unmixing(Unmix.WHITEN, F, None, Key.of(0))[0])
    terms = model.terms(V)
    one_hot = np.eye(CLASSES)[y[model.order]]
    fused = terms.zero_shot + FUSION_START * (terms.from_shots + terms.from_text)
    betas, gammas = BETAS[::STEP_BETA], FUSIONS[::STEP_GAMMA]

    def cache_by_line() -> np.ndarray:
        lines = ((fused, model.votes(terms.distances, beta)) for beta in betas)
        return np.stack([count_right(base, slope, np.array(ALPHAS), truth) for base, slope in lines])

    def cache_by_point() -> np.ndarray:
        right = [
            ((fused + alpha * (np.exp(-beta * terms.distances) @ one_hot)).argmax(1) == truth).sum()
            for beta in betas
            for alpha in ALPHAS
        ]
        return np.array(right).reshape(len(betas), len(ALPHAS))

    def fusion_by_line() -> np.ndarray:
        base = terms.zero_shot + 3.0 * model.votes(terms.distances, 1.0)
        bases = (base + gamma * terms.from_shots for gamma in gammas)
        return np.stack([count_right(base, terms.from_text, np.array(FUSIONS), truth) for base in bases])

    def fusion_by_point() -> np.ndarray:
        right = []
        for gamma in gammas:
            for eta in FUSIONS:
                votes = np.exp(-1.0 * terms.distances) @ one_hot
                logits = terms.zero_shot + gamma * terms.from_shots + eta * terms.from_text + 3.0 * votes
                right.append((logits.argmax(1) == truth).sum())
        return np.array(right).reshape(len(gammas), len(FUSIONS))

    with threadpool_limits(1):
        for name, line, point in (
            ("alpha x beta", cache_by_line, cache_by_point),
            ("gamma x eta", fusion_by_line, fusion_by_point),
        ):
            ratios, seconds = [], []
            for _ in range(ROUNDS):  # interleaved: what else the machine does falls on both alike
                fast, slow = timed(line), timed(point)
                # Equal but for rows that tie to the last bits at a point of the grid.
                assert np.abs(fast[1] - slow[1]).max() <= 1
                ratios.append(slow[0] / fast[0])
                seconds.append(fast[0])
            ratio = statistics.median(ratios)
            print(f"\n{name}: {1e3 * statistics.median(seconds):.1f} ms by line, {ratio:.0f} times faster")
            assert ratio >= 10


def timed(work: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found
