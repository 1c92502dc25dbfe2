"""Prints the table of perfect, rotated, noisy, copied and missing codes that the index shows. Writes nothing."""

from __future__ import annotations

from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from lpcm.disentanglers.haar import haar
from lpcm.keys import Key
from lpcm.metrics.comparison import Comparison
from lpcm.metrics.factor_metric import FactorMetric
from lpcm.metrics.records import RECORDS
from lpcm.plugin.truth import FactorKind, Factors

N, K = 1000, 64


def draw() -> tuple[Factors, dict[str, NDArray[np.float64]]]:
    """Six independent factors, and codes of them in each state."""
    generator = Key.of(0).fold("states").generator()
    values = np.column_stack(
        [
            generator.integers(0, 3, N),
            generator.integers(0, 5, N),
            generator.integers(0, 2, N),
            generator.random(N),
            generator.standard_normal(N),
            generator.random(N) * 2 * np.pi,
        ]
    ).astype(np.float64)
    kinds = (FactorKind.CATEGORICAL,) * 3 + (FactorKind.CONTINUOUS,) * 2 + (FactorKind.ANGLE,)
    factors = Factors(("a", "b", "c", "d", "e", "f"), kinds, values)
    angle = values[:, 5]
    columns = [values[:, place] == value for place, count in ((0, 3), (1, 5)) for value in range(count)]
    held = np.column_stack([*columns, *values.T[2:5], np.cos(angle), np.sin(angle)]).astype(np.float64)
    held = (held - held.mean(0)) / held.std(0) + 0.05 * generator.standard_normal(held.shape)
    perfect = np.column_stack([held, generator.laplace(scale=np.sqrt(0.5), size=(N, K - held.shape[1]))])
    missing = np.column_stack([perfect[:, 3:], generator.laplace(scale=np.sqrt(0.5), size=(N, 3))])
    return factors, {
        "factors": values,
        "perfect": perfect,
        "rotated": perfect @ haar(K, generator),
        "noise": generator.standard_normal((N, K)),
        "copied": np.column_stack([perfect[:, :40], perfect[:, :24]]),
        "missing": missing,
    }


def main() -> None:
    """Print the table."""
    factors, codes = draw()
    print(f"| metric | {' | '.join(codes)} |\n|{'---|' * (len(codes) + 1)}")
    for record in RECORDS:
        module, _, attribute = record.loader.partition(":")
        metric = getattr(import_module(module), attribute)()
        if isinstance(metric, FactorMetric):
            values = [metric.measure(Comparison.in_order(factors, each)).value for each in codes.values()]
            print(f"| `{record.name}` | {' | '.join(f'{value:.2f}' for value in values)} |")


if __name__ == "__main__":
    main()
