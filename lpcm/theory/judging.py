"""Codes against the latents that they should hold: a metric with its floors, its spread and its parts.

Refuses to know a metric: it is handed one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpcm.keys import Key
from lpcm.metrics.chance import halves, permuted, rotated, spread
from lpcm.metrics.comparison import Comparison
from lpcm.plugin.contracts import Metric
from lpcm.plugin.truth import FactorKind, Factors

_DRAWS = 20
_NULLS = 4
_RANGE = (-np.inf, 1.0)


@dataclass(frozen=True, eq=False)
class Judged:
    """A score of codes.

    Args:
        value: the score.
        per_latent: by name, where the metric gives them.
        draws: (b,) scores on random halves, moved to the value; see ``lpcm.metrics.chance.spread``.
        null: ``permutation``, codes of other samples; ``rotation``, the same codes whitened and turned at random.
    """

    value: float
    per_latent: Mapping[str, float]
    draws: NDArray[np.float64]
    null: Mapping[str, float]


def latents(z: NDArray[np.float64], name: str = "z") -> Factors:
    """Latents (n, d) as continuous factors ``z1`` to ``zd``."""
    names = tuple(f"{name}{i + 1}" for i in range(z.shape[1]))
    return Factors(names, (FactorKind.CONTINUOUS,) * z.shape[1], z)


def value_of(metric: Metric, z: NDArray[np.float64], codes: NDArray[np.floating]) -> float:
    """The score alone. Raises ``DataError`` for codes that cannot be scored."""
    return float(metric(latents(z), codes))  # type: ignore[arg-type]  # metrics of factors take Factors


def judge(metric: Metric, z: NDArray[np.float64], codes: NDArray[np.float64], key: Key) -> Judged:
    """The score with all that is needed to read it.

    Args:
        metric: of factors.
        z: (n, d) latents.
        codes: (n, k).
        key: of permutations, rotations and halves.

    Raises:
        DataError: for codes that cannot be scored: NaN, or fewer samples than latents.
    """
    comparison = Comparison.of(latents(z), codes)

    def score(of: Comparison) -> float:
        return float(metric(of.factors, of.codes))  # type: ignore[arg-type]

    value = score(comparison)
    on_halves = np.array([score(half) for half in halves(comparison, key, _DRAWS)])
    null = {
        name: float(np.mean([score(change(comparison, key.fold(name, i))) for i in range(_NULLS)]))
        for name, change in (("permutation", permuted), ("rotation", rotated))
    }
    measure = getattr(metric, "measure", None)
    parts = {} if measure is None else measure(comparison).details.get("per_factor", {})
    draws = spread(value, on_halves, _RANGE) if len(on_halves) else np.array([value, value])
    return Judged(value, parts, draws, null)
