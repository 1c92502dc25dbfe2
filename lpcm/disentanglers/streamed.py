"""Rows that do not fit into memory, and their principal axes. Refuses an iterator that can be read only once.

Every pass reads the rows anew, a chunk at a time; a float64 copy exists of one chunk only. Order is that of the
source: sums over rows in another order differ by rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpcm.disentanglers.spectrum import CHUNK_ROWS, Spectrum, above_noise, checked, descending, signed
from lpcm.errors import DataError, UsageError


class ChunkedRows:
    """Rows in chunks, read as often as they are asked for.

    Args:
        source: an (n, d) array such as ``np.memmap``, or something that gives its (m, d) chunks each time that it
            is iterated, such as a list of arrays on disk.

    Raises:
        UsageError: when ``source`` is an iterator, which is empty after one pass.

    Example:
        >>> rows = ChunkedRows([np.zeros((2, 3)), np.ones((1, 3))])
        >>> [len(chunk) for chunk in rows]
        [2, 1]
    """

    def __init__(self, source: NDArray[np.floating] | Iterable[NDArray[np.floating]]) -> None:
        if isinstance(source, Iterator):
            raise UsageError(
                f"rows are given by a {type(source).__name__}, which can be read once: every pass reads them again",
                "give a list of arrays, an np.memmap, or an object whose __iter__ starts over",
            )
        self.source = source

    def __iter__(self) -> Iterator[NDArray[np.floating]]:
        """Finite chunks of at most 8,192 rows. Raises ``DataError`` for one that is not (m, d) or not finite."""
        for part in (self.source,) if isinstance(self.source, np.ndarray) else self.source:
            if part.ndim != 2:
                raise DataError(f"a chunk of rows has shape {part.shape}: expected (m, d)")
            for start in range(0, len(part), CHUNK_ROWS):
                yield checked(np.asarray(part[start : start + CHUNK_ROWS]))


@dataclass(frozen=True, eq=False)
class StreamedSpectrum(Spectrum):
    """The spectrum of chunked rows; ``rows`` is empty and of their width.

    Args:
        source: where the rows are read from.
        n: how many there are.
    """

    source: ChunkedRows
    n: int

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""
        return self.n, self.rows.shape[1]

    def centred(self) -> Iterator[NDArray[np.float64]]:
        """Rows without their mean, a float64 chunk at a time."""
        for chunk in self.source:
            yield chunk - self.mean

    @classmethod
    def read(cls, source: ChunkedRows) -> StreamedSpectrum:
        """Compute the spectrum in one pass.

        The Gram matrix is that of the rows less the mean of the first chunk, so that subtracting the mean at the
        end cancels little.

        Raises:
            DataError: when chunks differ in width, there are fewer than two rows, or nothing varies.
        """
        n, squares = 0, 0.0
        shift = low = high = total = gram = np.zeros(0)
        dtype: np.dtype[np.floating] = np.dtype(np.float64)
        for chunk in source:
            if not len(chunk):
                continue
            if not n:
                d, dtype = chunk.shape[1], chunk.dtype
                shift, total, gram = chunk.mean(0, dtype=np.float64), np.zeros(d), np.zeros((d, d))
                low, high = np.full(d, np.inf), np.full(d, -np.inf)
            elif chunk.shape[1] != len(shift):
                raise DataError(
                    f"a chunk of rows has width {chunk.shape[1]}: expected {len(shift)}, as the first"
                )
            moved = chunk - shift
            total += moved.sum(0)
            gram += moved.T @ moved
            low, high = np.minimum(low, chunk.min(0)), np.maximum(high, chunk.max(0))
            squares += float(np.square(chunk, dtype=np.float64).sum())
            n += len(chunk)
        if n < 2:
            raise DataError(f"a disentangler was given {n} row: expected at least 2 to fit on")
        d, constant = len(shift), int((low == high).sum())
        if constant == d:
            raise DataError(f"all {d} features are constant over {n} rows: there is nothing to disentangle")
        offset = total / n
        values, vectors = descending(gram - n * np.outer(offset, offset))
        keep = above_noise(values, (n, d), dtype, np.sqrt(squares / (n * d)))
        axes = signed(np.ascontiguousarray(vectors[:, keep].T))
        rows = np.empty((0, d), dtype)
        return cls(rows, shift + offset, np.sqrt(values[keep] / n), axes, constant, source, n)
