"""Codes in the states that a disentanglement metric should tell apart, against factors of all three kinds."""

from dataclasses import dataclass

import numpy as np
import pytest

from lpcm.disentanglers.haar import haar
from lpcm.keys import Key
from lpcm.metrics.comparison import Comparison
from lpcm.plugin.truth import FactorKind, Factors

N, K = 601, 31


def draw_factors(n: int, key: Key) -> Factors:
    """Two categories, two numbers and an angle, independent of each other."""
    generator = key.fold("factors").generator()
    columns = [
        generator.integers(0, 3, n),
        generator.integers(0, 2, n),
        generator.random(n),
        generator.standard_normal(n),
        generator.random(n) * 2 * np.pi,
    ]
    kinds = ["categorical", "categorical", "continuous", "continuous", "angle"]
    names = ("shape", "side", "size", "depth", "hue")
    return Factors(
        names, tuple(FactorKind(kind) for kind in kinds), np.column_stack(columns).astype(np.float64)
    )


def indicators(factors: Factors) -> np.ndarray:
    """A component for each value of a category, each number, and cosine and sine of each angle; variance 1."""
    shape, side, size, depth, hue = factors.values.T
    columns = [*(shape == value for value in range(3)), side, size, depth, np.cos(hue), np.sin(hue)]
    codes = np.column_stack(columns).astype(np.float64)
    return (codes - codes.mean(0)) / codes.std(0)


@dataclass(frozen=True)
class States:
    """The same factors under codes of each state, as comparisons."""

    factors: Factors
    perfect: Comparison  # every indicator on a component, with a little noise, among components of noise
    moved: Comparison  # the same in another order, with other signs and scales
    rotated: Comparison
    noise: Comparison
    copied: Comparison  # every component of a factor twice
    missing: Comparison  # without the component of the size
    exact: Comparison  # the factors themselves, a component each


@pytest.fixture(scope="session")
def states() -> States:
    factors = draw_factors(N, Key.of(0))
    generator = Key.of(0).fold("codes").generator()
    held = indicators(factors)
    width = held.shape[1]
    held = held + 0.05 * generator.standard_normal(held.shape)
    rest = generator.laplace(size=(N, K - width)) / np.sqrt(2)
    perfect = np.column_stack([held, rest])
    moved = 7 * perfect[:, generator.permutation(K)] * generator.choice([-1, 1], K)
    codes = {
        "perfect": perfect,
        "moved": moved,
        "rotated": perfect @ haar(K, generator),
        "noise": generator.standard_normal((N, K)),
        "copied": np.column_stack([held, held, rest[:, width:]]),
        "missing": np.column_stack([np.delete(held, 4, axis=1), generator.laplace(size=N), rest]),
        "exact": factors.values,
    }
    return States(factors, **{name: Comparison.in_order(factors, made) for name, made in codes.items()})
