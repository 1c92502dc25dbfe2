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

# The way, and how many times scikit-learn's speed is asked of it. On one core most of what is left is the
# iterations, which are the same products for both; on several, the SVD that we spare scales worse than they do.
WAYS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "scikit-learn": (by_scikit_learn(**STEPS), 1.0),
    "torch float32": (by_engine(engine="torch", **STEPS), 2.0),
    "torch float64": (by_engine(engine="torch", precision="float64", **STEPS), 0.0),
    "sklearn on our whitening": (by_engine(engine="sklearn", **STEPS), 0.0),
}


@pytest.mark.benchmark(group="FastICA")
@pytest.mark.parametrize("name", WAYS)
def test_fastica(name, rows, seconds, benchmark):
    way, at_least = WAYS[name]
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
    ratio = seconds["scikit-learn"] / seconds[name]
    wall, threads = statistics.median(benchmark.stats.stats.data), torch.get_num_threads()
    print(
        f"\n{name:26} {seconds[name]:6.2f} s of processor time ({wall:.2f} s of wall clock), {ratio:.2f} times"
        f" as fast as scikit-learn, {threads} thread(s)"
    )
    assert ratio >= at_least
