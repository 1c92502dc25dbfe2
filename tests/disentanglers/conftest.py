"""Features as encoders give them: float32, correlated, not centred."""

from __future__ import annotations

import numpy as np
import pytest

from lpcm.keys import Key


def mixed_sources(n: int, d: int, sources: int, seed: int = 0) -> np.ndarray:
    """Laplace sources mixed into d features, with a little noise so that the rank is full."""
    generator = Key.of(seed).fold("mixed", n, d).generator()
    mixing = generator.standard_normal((sources, d))
    noise = 0.01 * generator.standard_normal((n, d))
    return (generator.laplace(size=(n, sources)) @ mixing + noise + 3.0).astype(np.float32)


@pytest.fixture(scope="session")
def tall() -> np.ndarray:
    return mixed_sources(1501, 17, 7)


@pytest.fixture(scope="session")
def wide() -> np.ndarray:
    return mixed_sources(33, 129, 31)
