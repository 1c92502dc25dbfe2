"""FastICA by our engines against scikit-learn's, end to end: whitening, iterations, and our check of convergence.

Run by itself, on an otherwise idle machine: ``pytest benchmarks/test_ica.py -s``.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.decomposition import FastICA

from lpcm.disentanglers.ica import ICA
from lpcm.keys import Key

N, D, K, ITERATIONS, ROUNDS = 50_000, 512, 256, 15, 1


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Laplace sources under a spectrum that falls by a factor of thirty, as CLIP's do, not centred."""
    generator = Key.of(0).fold("benchmark", "ica").generator()
    sources = generator.laplace(size=(N, D)).astype(np.float32)
    mixing = np.linalg.qr(generator.standard_normal((D, D)))[0] * np.geomspace(1, 1 / 30, D)[:, None]
    return sources @ mixing.astype(np.float32) + np.float32(0.1)


@pytest.fixture(scope="module")
def seconds() -> dict[str, float]:
    return {}


def by_scikit_learn(max_iter: int, tol: float) -> Callable[[np.ndarray], np.ndarray]:
    def fit(rows: np.ndarray) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # with a tolerance of nothing it is meant to do all iterations
            made = FastICA(K, whiten="unit-variance", max_iter=max_iter, tol=tol, random_state=0)
            return made.fit(rows).components_

    return fit


def by_engine(**settings: object) -> Callable[[np.ndarray], np.ndarray]:
    return lambda rows: ICA(k=K, **settings).fit(rows).components_


STEPS = {"max_iter": ITERATIONS, "tol": 1e-30}
CONVERGED = {"max_iter": 200, "tol": 1e-4}

# Equal numbers of iterations, and equal tolerances; with how many times scikit-learn's speed is asked of each.
WAYS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray], float]] = {
    "scikit-learn, 15 steps": ("scikit-learn, 15 steps", by_scikit_learn(**STEPS), 1.0),
    "torch float32, 15 steps": ("scikit-learn, 15 steps", by_engine(engine="torch", **STEPS), 2.0),
    "scikit-learn, tol 1e-4": ("scikit-learn, tol 1e-4", by_scikit_learn(**CONVERGED), 1.0),
    "torch float32, tol 1e-4": ("scikit-learn, tol 1e-4", by_engine(engine="torch", **CONVERGED), 1.5),
    "torch float32, batch, tol 1e-4": (
        "scikit-learn, tol 1e-4",
        by_engine(engine="torch", batch=10_000, **CONVERGED),
        3.0,
    ),
}


@pytest.mark.benchmark(group="FastICA")
@pytest.mark.parametrize("name", WAYS)
def test_fastica(name, rows, seconds, benchmark):
    baseline, way, at_least = WAYS[name]
    spent = []

    def timed() -> np.ndarray:
        # Processor time as well as pytest-benchmark's wall clock: other work on the machine distorts only the latter.
        started = time.process_time()
        made = way(rows)
        spent.append(time.process_time() - started)
        return made

    components = benchmark.pedantic(timed, rounds=ROUNDS)
    assert components.shape == (K, D)
    seconds[name] = statistics.median(spent)
    ratio = seconds[baseline] / seconds[name]
    wall, threads = statistics.median(benchmark.stats.stats.data), torch.get_num_threads()
    print(
        f"\n{name:32} {seconds[name]:6.2f} s of processor time ({wall:.2f} s of wall clock), {ratio:.2f} times"
        f" as fast as {baseline}, {threads} thread(s)"
    )
    assert ratio >= at_least
