"""How far from Gaussian, and how sparse, components are. Refuses to call sparse interpretable.

Each measure is of a component's values z over n samples, in standard deviations from their mean, with the sign
that makes the third moment positive, so that the rarer, longer tail is the upper one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import erfc, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError
from lpcm.keys import Key

ACTIVE = 1.0
"""Standard deviations from the mean beyond which a sample counts as active."""

MIXTURES = 200
"""Random mixtures of the components that nulls are made of."""

_NULL_ROWS = 20_000  # enough for the nulls; more rows would only cost
_NODES = 101  # of Gauss and Hermite; E log cosh is then right to the last digit


@dataclass(frozen=True, eq=False)
class Oriented:
    """Components of the training side on one scale.

    Args:
        values: (n, k) float32, in standard deviations from the mean, skewed to the right.
        centre, scale: (k,) float64 mean and standard deviation of the codes; a scale is 0 where a code is constant.
        sign: (k,) float64, 1 or -1: what the codes were turned by.
    """

    values: NDArray[np.float32]
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    sign: NDArray[np.float64]

    @classmethod
    def of(cls, codes: NDArray[np.floating]) -> Oriented:
        """Orient (n, k) codes.

        Raises:
            DataError: when a code is not finite.
        """
        if not np.isfinite(codes).all():
            raise DataError("the disentangler gave codes that are not finite", "look at its settings")
        centre = codes.mean(0, dtype=np.float64)
        scale = codes.std(0, dtype=np.float64)
        # Rounding makes the deviation of a constant column small, not zero.
        scale[scale <= np.finfo(np.float32).eps * np.abs(centre)] = 0.0
        values = np.zeros(codes.shape, np.float32)
        sign = np.ones(codes.shape[1])
        for place in np.flatnonzero(scale):
            z = (codes[:, place] - centre[place]) / scale[place]
            sign[place] = -1.0 if float(np.mean(z**3)) < 0 else 1.0
            values[:, place] = sign[place] * z
        return cls(values, centre, scale, sign)

    def see(self, codes: NDArray[np.floating]) -> NDArray[np.float32]:
        """Other samples' codes on the same scale."""
        return ((codes - self.centre) * self.factors).astype(np.float32)

    @property
    def factors(self) -> NDArray[np.float64]:
        """(k,) what a centred code is multiplied by; 0 for a constant one."""
        return np.divide(self.sign, self.scale, out=np.zeros_like(self.sign), where=self.scale > 0)


@dataclass(frozen=True, eq=False)
class Measures:
    """Measures of k components, (k,) float64 each; NaN for a component that is constant.

    Args:
        skewness: E z^3.
        kurtosis: excess, E z^4 - 3.
        nongaussianity: (E log cosh z - E log cosh g)^2 with g a standard Gaussian, what FastICA maximises.
        hoyer: (sqrt n - |z|_1 / |z|_2) / (sqrt n - 1), in [0, 1].
        gini: index of |z|, in [0, 1].
        treves_rolls: (mean r)^2 / mean r^2 with r = max(z, 0), in [0, 1]; the smaller, the sparser.
        active: share of samples with |z| > 1.

    Source: nongaussianity: Hyvarinen and Oja 2000, eq. 25. hoyer: Hoyer 2004, "Non-negative matrix factorization with
    sparseness constraints", section 3.1. gini: Hurley and Rickard 2009, "Comparing measures of sparsity".
    treves_rolls: Treves and Rolls 1991; Rolls and Tovee 1995, on responses, which are not negative.
    """

    skewness: NDArray[np.float64]
    kurtosis: NDArray[np.float64]
    nongaussianity: NDArray[np.float64]
    hoyer: NDArray[np.float64]
    gini: NDArray[np.float64]
    treves_rolls: NDArray[np.float64]
    active: NDArray[np.float64]

    def of(self, place: int) -> dict[str, float | None]:
        """The measures of one component; ``None`` where there is none."""
        found = {field.name: float(getattr(self, field.name)[place]) for field in fields(self)}
        return {name: value if np.isfinite(value) else None for name, value in found.items()}

    def medians(self) -> dict[str, float | None]:
        """The median of each measure over the components that vary."""
        found: dict[str, float | None] = {}
        for field in fields(self):
            values = getattr(self, field.name)
            finite = values[np.isfinite(values)]
            found[field.name] = float(np.median(finite)) if len(finite) else None
        return found


GAUSSIAN: Mapping[str, float] = {
    "skewness": 0.0,
    "kurtosis": 0.0,
    "nongaussianity": 0.0,
    "hoyer": 1 - sqrt(2 / pi),
    "gini": sqrt(2) - 1,
    "treves_rolls": 1 / pi,
    "active": erfc(ACTIVE / sqrt(2)),
}
"""What many Gaussian samples give."""


def measure(values: NDArray[np.floating]) -> Measures:
    """Measure (n, k) oriented values.

    Example:
        >>> laplace = Key.of(0).generator().laplace(size=(9999, 1))
        >>> measure(Oriented.of(laplace).values).kurtosis.round(0)
        array([3.])
    """
    columns = [_column(values[:, place].astype(np.float64)) for place in range(values.shape[1])]
    table = np.array(columns, dtype=np.float64).reshape(-1, len(fields(Measures)))
    return Measures(*table.T)


def nongaussianity(z: NDArray[np.floating]) -> NDArray[np.float64]:
    """Distance from Gaussian of (n, ...) standardised values along the first axis, as ``Measures`` has it."""
    found: NDArray[np.float64] = np.square(_log_cosh(z).mean(0) - _GAUSSIAN_LOG_COSH)
    return found


@dataclass(frozen=True, eq=False)
class Mixtures:
    """Random unit mixtures of the components: axes that mean nothing in particular, seen as the components are.

    What they show of classes, of texts or of being far from Gaussian, any axis shows.

    Args:
        rows: (n',) places of the samples that they are of, upwards; at most 20,000 of them.
        values: (n', 200) float32 oriented values.
    """

    rows: NDArray[np.int64]
    values: NDArray[np.float32]

    @classmethod
    def of(cls, values: NDArray[np.float32], key: Key) -> Mixtures:
        """Mix (n, k) oriented values."""
        generator = key.fold("mixtures").generator()
        weights = generator.standard_normal((values.shape[1], MIXTURES))
        rows = np.arange(len(values))
        if len(rows) > _NULL_ROWS:
            rows = np.sort(generator.choice(len(rows), _NULL_ROWS, replace=False))
        return cls(rows, Oriented.of(values[rows].astype(np.float64) @ weights).values)

    def nongaussianity(self) -> float:
        """The 95 % quantile of theirs: a component below it is no further from Gaussian than any axis."""
        return float(np.quantile(nongaussianity(self.values.astype(np.float64)), 0.95))


def _column(z: NDArray[np.float64]) -> tuple[float, ...]:
    n = len(z)
    if n < 2 or not z.any():
        return (float("nan"),) * len(fields(Measures))
    size = np.abs(z)
    total, length = size.sum(), np.linalg.norm(z)
    positive = np.maximum(z, 0)
    places = n - np.arange(1, n + 1) + 0.5
    return (
        float(np.mean(z**3)),
        float(np.mean(z**4) - 3),
        float(nongaussianity(z)),
        float((sqrt(n) - total / length) / (sqrt(n) - 1)),
        float(1 - 2 * (np.sort(size) * places).sum() / (n * total)),
        float(positive.mean() ** 2 / np.mean(positive**2)),
        float((size > ACTIVE).mean()),
    )


def _log_cosh(z: NDArray[np.floating]) -> NDArray[np.floating]:
    found: NDArray[np.floating] = np.logaddexp(z, -z) - np.log(2)
    return found


def _gaussian_log_cosh() -> float:
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    return float((weights * _log_cosh(nodes)).sum() / weights.sum())


_GAUSSIAN_LOG_COSH = _gaussian_log_cosh()
