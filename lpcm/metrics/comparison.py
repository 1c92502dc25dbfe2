"""Codes beside the factors that they should hold: the one door to every disentanglement metric.

Refuses what no metric can score: NaN, a factor that never varies, rows that do not match. Everything that a
metric needs of a factor's kind (numbers to regress on, levels to count) is made here, so that metrics need not
know about kinds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.plugin.truth import FactorKind, Factors

MIN_ROWS = 20
"""Below this many rows neither a held-out third nor a histogram says anything."""

FACTOR_BINS = 10
"""Levels that a continuous factor or an angle is cut into where a metric counts."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Codes and factors of the same n samples.

    Args:
        factors: of n samples, f of them; none is constant.
        codes: (n, k) float64, finite, as the disentangler gave them.

    Example:
        >>> grid = np.array([[i % 2, i % 5] for i in range(40)], float)
        >>> Comparison.of(grid, grid[:, ::-1]).k
        2
    """

    factors: Factors
    codes: NDArray[np.float64]

    @classmethod
    def of(cls, truth: Factors | NDArray[np.generic], codes: NDArray[np.floating]) -> Comparison:
        """Check codes and truth and put the rows into an order that does not depend on how they came.

        Args:
            truth: ``Factors``, or (n,) or (n, f) numbers: whole ones are categorical, others continuous.
            codes: (n, k) or (n,) floats.

        Raises:
            DataError: as ``in_order``.
        """
        given = cls.in_order(truth, codes)
        columns = np.column_stack([given.factors.values, given.codes])
        return given.take(np.lexsort(columns.T[::-1]))

    @classmethod
    def in_order(cls, truth: Factors | NDArray[np.generic], codes: NDArray[np.floating]) -> Comparison:
        """As ``of``, with rows left in their order: what is held out is then the same for all codes.

        Raises:
            DataError: for unequal or too few rows, values that are not finite, and constant factors.
        """
        factors = as_factors(truth)
        rows: NDArray[np.float64] = np.asarray(codes, dtype=np.float64)
        if rows.ndim == 1:
            rows = rows[:, None]
        if rows.ndim != 2 or len(rows) != len(factors) or not rows.shape[1]:
            raise DataError(
                f"codes have shape {rows.shape} for factors of {len(factors)} samples: expected "
                f"({len(factors)}, k) with k of 1 or more"
            )
        if len(rows) < MIN_ROWS:
            raise DataError(f"{len(rows)} samples were given: expected at least {MIN_ROWS}")
        if len(rows) <= len(factors.names):
            raise DataError(
                f"{len(rows)} samples were given for {len(factors.names)} factors: expected more samples than factors"
            )
        if not np.isfinite(rows).all():
            bad = ~np.isfinite(rows)
            raise DataError(
                f"codes hold NaN or infinity in {bad.any(1).sum()} of {len(rows)} rows and {bad.any(0).sum()} of "
                f"{rows.shape[1]} components: expected finite numbers"
            )
        still = [name for name, varies in zip(factors.names, varying(factors), strict=True) if not varies]
        if still:
            raise DataError(
                f"constant over all {len(rows)} samples: factor {', '.join(map(repr, still))}",
                "leave it out: nothing can be learnt about what never changes",
            )
        return cls(factors, rows)

    @property
    def n(self) -> int:
        """Samples."""
        return len(self.codes)

    @property
    def k(self) -> int:
        """Components."""
        return int(self.codes.shape[1])

    @property
    def f(self) -> int:
        """Factors."""
        return len(self.factors.names)

    @cached_property
    def digest(self) -> str:
        """Hex digest of all that is compared."""
        sha = hashlib.sha256(repr((self.factors.names, self.factors.kinds, self.codes.shape)).encode())
        sha.update(np.ascontiguousarray(self.factors.values).tobytes())
        sha.update(np.ascontiguousarray(self.codes).tobytes())
        return sha.hexdigest()

    @cached_property
    def active(self) -> NDArray[np.bool_]:
        """(k,) whether a component varies."""
        varies: NDArray[np.bool_] = self.codes.min(0) != self.codes.max(0)
        return varies

    @cached_property
    def standard(self) -> NDArray[np.float64]:
        """(n, k) codes with mean 0 and variance 1; a constant one is 0."""
        centred = self.codes - self.codes.mean(0)
        scale = np.sqrt(np.square(centred).mean(0))
        standard: NDArray[np.float64] = np.divide(
            centred, scale, out=np.zeros_like(centred), where=self.active & (scale > 0)
        )
        return standard

    @cached_property
    def fit(self) -> NDArray[np.intp]:
        """Two thirds of the rows, for what must be fitted."""
        return np.sort(self._shuffled[self.n // 3 :])

    @cached_property
    def held(self) -> NDArray[np.intp]:
        """The other third, on which it is judged."""
        return np.sort(self._shuffled[: self.n // 3])

    @cached_property
    def _shuffled(self) -> NDArray[np.intp]:
        # Of n alone: all codes of the same samples are judged on the same rows.
        return Key.of(0).fold("held out", self.n).generator().permutation(self.n)

    def take(self, rows: NDArray[np.integer]) -> Comparison:
        """The comparison of these rows, in this order."""
        return Comparison(self.factors.take(rows), self.codes[rows])

    def with_codes(self, codes: NDArray[np.float64]) -> Comparison:
        """The same factors beside other codes."""
        return Comparison(self.factors, codes)

    def kind(self, factor: int) -> FactorKind:
        """The kind of a factor."""
        return self.factors.kinds[factor]

    def targets(self, factor: int) -> NDArray[np.float64]:
        """A factor as numbers to regress on, (n, t), each column of mean 0.

        Categorical: an indicator of each value that occurs. Continuous: itself with variance 1. Angle: cosine
        and sine.
        """
        values = self.factors.values[:, factor]
        kind = self.kind(factor)
        if kind is FactorKind.CATEGORICAL:
            columns = (values[:, None] == np.unique(values)).astype(np.float64)
        elif kind is FactorKind.ANGLE:
            columns = np.column_stack([np.cos(values), np.sin(values)])
        else:
            columns = ((values - values.mean()) / values.std())[:, None]
        centred: NDArray[np.float64] = columns - columns.mean(0)
        return centred

    def levels(self, factor: int, bins: int = FACTOR_BINS) -> NDArray[np.int64]:
        """A factor as (n,) whole numbers from 0 without gaps, for metrics that count.

        Categorical: its values. Others: their values where at most ``bins`` occur, else bins: equally full ones
        of a continuous factor, equally wide ones of an angle.
        """
        values = self.factors.values[:, factor]
        if self.kind(factor) is FactorKind.ANGLE:
            values = np.mod(values, 2 * np.pi)
        distinct, inverse = np.unique(values, return_inverse=True)
        if self.kind(factor) is not FactorKind.CATEGORICAL and len(distinct) > bins:
            if self.kind(factor) is FactorKind.ANGLE:
                edges = np.linspace(0, 2 * np.pi, bins + 1)[1:-1]
            else:
                edges = np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf")
            _, inverse = np.unique(np.searchsorted(edges, values, side="left"), return_inverse=True)
        return inverse.astype(np.int64)


def as_factors(truth: Factors | NDArray[np.generic]) -> Factors:
    """Factors of an array: whole numbers and truth values are categorical, other numbers continuous.

    Raises:
        DataError: for shapes other than (n,) and (n, f), values that are not finite, and names, kinds and columns
            that do not match.
    """
    if not isinstance(truth, Factors):
        values = np.asarray(truth)
        if values.ndim == 1:
            values = values[:, None]
        if values.ndim != 2:
            raise DataError(f"factors have shape {values.shape}: expected (n, f)")
        kind = FactorKind.CATEGORICAL if values.dtype.kind in "iub" else FactorKind.CONTINUOUS
        names = tuple(f"factor {place}" for place in range(values.shape[1]))
        truth = Factors(names, (kind,) * len(names), values.astype(np.float64))
    values = np.asarray(truth.values)
    if values.ndim != 2 or values.shape[1] != len(truth.names) or len(truth.names) != len(truth.kinds):
        raise DataError(
            f"factors have shape {values.shape}, {len(truth.names)} names and {len(truth.kinds)} kinds: "
            "expected a column, a name and a kind each"
        )
    if not truth.names:
        raise DataError("no factor was given: expected at least 1")
    bad = ~np.isfinite(values)
    if bad.any():
        named = [name for name, column in zip(truth.names, bad.T, strict=True) if column.any()]
        raise DataError(
            f"not finite in {bad.any(1).sum()} of {len(values)} samples: factor {', '.join(map(repr, named))}"
        )
    return truth


def varying(factors: Factors) -> NDArray[np.bool_]:
    """(f,) whether a factor takes more than one value; angles a full turn apart are one value."""
    columns = factors.values.copy()
    for place, kind in enumerate(factors.kinds):
        if kind is FactorKind.ANGLE:
            columns[:, place] = np.mod(columns[:, place], 2 * np.pi)
    return np.asarray([len(np.unique(column)) > 1 for column in columns.T], dtype=np.bool_)
