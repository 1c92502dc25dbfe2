"""The principal axes of a feature matrix, for every linear disentangler. Refuses features that do not vary.

The eigen decomposition is that of the smaller Gram matrix, in float64: (n, n) or (d, d), never both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from lpcm.errors import DataError, UsageError

_CHUNK_ROWS = 8192


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Principal axes of features.

    Args:
        rows: (n, d) the features in their canonical order, as they were given.
        mean: (d,) float64 mean over the rows.
        scales: (r,) float64 standard deviations along the axes (population: divided by n), descending.
        axes: (r, d) float64 orthonormal axes; the entry of largest magnitude of each is positive.
        constant: how many of the d features do not vary.
    """

    rows: NDArray[np.floating]
    mean: NDArray[np.float64]
    scales: NDArray[np.float64]
    axes: NDArray[np.float64]
    constant: int

    @property
    def rank(self) -> int:
        """Numerical rank r of the centred features."""
        return len(self.scales)

    @classmethod
    def of(cls, features: NDArray[np.floating]) -> Spectrum:
        """Compute the spectrum of (n, d) features.

        The rows are first put into a canonical order, so that the answer does not depend on how they came.

        Raises:
            DataError: when a value is not finite, there are fewer than two rows, or nothing varies.
        """
        rows = canonical_order(checked(features))
        n, d = rows.shape
        if n < 2:
            raise DataError(f"a disentangler was given {n} row: expected at least 2 to fit on")
        constant = int((rows.min(0) == rows.max(0)).sum())
        if constant == d:
            raise DataError(f"all {d} features are constant over {n} rows: there is nothing to disentangle")
        mean = rows.mean(0, dtype=np.float64)
        if n <= d:
            centred = rows - mean
            values, left = _descending(centred @ centred.T)
            keep = _above_noise(values, rows)
            axes = left[:, keep].T @ centred
            axes /= np.sqrt(values[keep])[:, None]
        else:
            gram = np.zeros((d, d))
            for chunk in _chunks(rows, mean):
                gram += chunk.T @ chunk
            values, right = _descending(gram)
            keep = _above_noise(values, rows)
            axes = np.ascontiguousarray(right[:, keep].T)
        peaks = axes[np.arange(len(axes)), np.abs(axes).argmax(1)]
        axes *= np.sign(peaks)[:, None]
        return cls(rows, mean, np.sqrt(values[keep] / n), axes, constant)

    def width(self, asked: int | None, *, cap: bool, name: str) -> tuple[int, list[str]]:
        """How many components to take: ``asked``, or min(256, d, n // 5) when that is ``None``.

        Returns:
            the number k and notes on how it came about.

        Raises:
            UsageError: when ``asked`` is above the numerical rank and ``cap`` is false.
        """
        n, d = self.rows.shape
        if asked is None:
            return self._capped(max(1, min(256, d, n // 5)), "the default of min(256, d, n // 5)")
        if asked < 1:
            raise UsageError(f"{name} is {asked}: expected 1 or more components")
        if asked > self.rank and not cap:
            raise UsageError(
                f"{name}={asked} components were asked of {n} rows of width {d} and rank {self.rank}",
                f"ask for {name} of at most {self.rank}, leave it out to have it chosen, or fit on more rows",
            )
        return self._capped(asked, f"{name}={asked}")

    def _capped(self, k: int, what: str) -> tuple[int, list[str]]:
        if k <= self.rank:
            return k, []
        return self.rank, [f"{what} was cut to the numerical rank {self.rank}"]

    def project(self, k: int, *, whiten: bool) -> NDArray[np.float64]:
        """Give the rows on the first k axes, (n, k); with unit variance along each where ``whiten``."""
        axes = self.axes[:k] / self.scales[:k, None] if whiten else self.axes[:k]
        projected = np.empty((len(self.rows), k))
        start = 0
        for chunk in _chunks(self.rows, self.mean):
            projected[start : start + len(chunk)] = chunk @ axes.T
            start += len(chunk)
        return projected


def checked(features: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the features when they are an (n, d) matrix of finite floats.

    Raises:
        DataError: when they are not; it counts the rows and columns with NaN or infinity.
    """
    features = np.asarray(features)
    if features.ndim != 2:
        raise DataError(f"features have shape {features.shape}: expected (n, d)")
    if not np.issubdtype(features.dtype, np.floating):
        features = features.astype(np.float64)
    finite = np.isfinite(features)
    if not finite.all():
        rows, columns = (~finite).any(1).sum(), (~finite).any(0).sum()
        raise DataError(
            f"features hold NaN or infinity in {rows} of {features.shape[0]} rows and {columns} of"
            f" {features.shape[1]} columns: expected finite numbers",
            "look for an encoder that overflows in fp16; try --precision fp32",
        )
    return features


def canonical_order(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    """Sort rows by their first four varying features, so that no sum depends on the order they came in."""
    varying = np.flatnonzero(rows.min(0) != rows.max(0))[:4] if len(rows) else np.zeros(0, np.intp)
    if len(varying) == 0:
        return rows
    ordered: NDArray[np.floating] = rows[np.lexsort(rows[:, varying].T[::-1])]
    return ordered


def _chunks(rows: NDArray[np.floating], mean: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    # A float64 copy of a million rows would be gigabytes: only a chunk of it exists at a time.
    for start in range(0, len(rows), _CHUNK_ROWS):
        yield rows[start : start + _CHUNK_ROWS] - mean


def _descending(gram: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values, vectors = eigh(gram, overwrite_a=True, check_finite=False)
    return values[::-1], vectors[:, ::-1]


def _above_noise(values: NDArray[np.float64], rows: NDArray[np.floating]) -> NDArray[np.intp]:
    # Two sources of directions that are only rounding: the features' own (relative to their size before
    # centring, spread over an n x d matrix), and the squaring in the Gram matrix.
    n, d = rows.shape
    size = float(np.sqrt(np.mean(np.square(rows, dtype=np.float64))))
    rounding = np.finfo(rows.dtype).eps * size * (np.sqrt(n) + np.sqrt(d))
    squaring = np.sqrt(values[0] * np.finfo(np.float64).eps * max(n, d))
    return np.flatnonzero(np.sqrt(np.maximum(values, 0)) > max(rounding, squaring))
