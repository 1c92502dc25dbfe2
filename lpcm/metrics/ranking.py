"""Where true matches stand in a gallery, streamed block by block; it refuses to hold a q x m matrix.

A query's rank is that of its best match. Items that score the same are in no order, so every figure is its
expectation over their random orders: with all scores equal, recall@k is k / m exactly. Scores are compared as
float64 dot products whatever the block size and the number of threads: products of blocks are float32, and a score
that float32 cannot place above or below the match within its worst-case error is computed again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError, UsageError

BLOCK = 2048
"""Rows and columns of a block: 16 MiB of float32."""

_EXACT_SHARE = 1 / 64  # of a block: above it, a product in float64 costs less than pairs one by one
_CHUNK = 1 << 21  # numbers in a chunk of pairs: 16 MiB of float64


@dataclass(frozen=True, eq=False)
class Standings:
    """Where the best match of each of q queries stands among m gallery items.

    Args:
        above: (q,) int64 items with a higher score.
        tied: (q,) int64 items with the same score that are no match.
        shared: (q,) int64 matches with the same score, the best one among them: 1 or more.
        matches: (q,) int64 matches of the query.
        gallery: m.
    """

    above: NDArray[np.int64]
    tied: NDArray[np.int64]
    shared: NDArray[np.int64]
    matches: NDArray[np.int64]
    gallery: int

    def by_chance(self) -> Standings:
        """The same problem when all scores are equal: what knowing nothing gives."""
        return Standings(
            np.zeros_like(self.above), self.gallery - self.matches, self.matches, self.matches, self.gallery
        )


@dataclass(frozen=True, eq=False)
class Figures:
    """Expectations over the orders of equal scores, for each of q queries.

    Args:
        recall: for each k, (q,) float64 chance that a match is among the first k.
        reciprocal: (q,) float64 reciprocal of the rank.
        rank: (q,) float64 rank, 1 for the first.
    """

    recall: Mapping[int, NDArray[np.float64]]
    reciprocal: NDArray[np.float64]
    rank: NDArray[np.float64]


def standings(
    queries: NDArray[np.floating],
    gallery: NDArray[np.floating],
    matches: tuple[NDArray[np.integer], NDArray[np.integer]],
    *,
    block: int = BLOCK,
) -> Standings:
    """Find where each query's best match stands, by dot product.

    Args:
        queries: (q, d) float32; for cosines, unit rows.
        gallery: (m, d) float32.
        matches: rows of queries and rows of the gallery, (p,) each: the pairs that belong together, each once.
        block: rows and columns of a block; the answer does not depend on it.

    Raises:
        DataError: when widths differ, a value is not finite, or a query has no match.
        UsageError: when ``block`` is below 1.

    Example:
        >>> eye = np.eye(3, dtype=np.float32)
        >>> found = standings(eye, eye[[0, 2, 1]], (np.arange(3), np.arange(3)))
        >>> found.above.tolist(), found.tied.tolist()
        ([0, 1, 1], [0, 1, 1])
    """
    if block < 1:
        raise UsageError(f"block is {block}: expected 1 or more rows")
    queries, gallery = _checked(queries, "queries"), _checked(gallery, "gallery")
    if queries.shape[1] != gallery.shape[1]:
        raise DataError(
            f"queries have width {queries.shape[1]} and gallery items {gallery.shape[1]}: expected one space"
        )
    bar, shared, counts = _best(queries, gallery, matches)
    # Equal items are compared once: a gallery of a few distinct captions costs no more than those few.
    first, copies = _distinct(gallery)
    items = gallery[first] if len(first) < len(gallery) else gallery
    lengths, longest = _norms(queries), _norms(items)
    above = np.zeros(len(queries), np.int64)
    level = np.zeros(len(queries), np.int64)
    for rows in _slices(len(queries), block):
        for columns in _slices(len(items), block):
            size = lengths[rows] * longest[columns].max()
            higher, same = _compare(queries[rows], items[columns], bar[rows], size, copies[columns])
            above[rows] += higher
            level[rows] += same
    return Standings(above, level - shared, shared, counts, len(gallery))


def figures(found: Standings, ks: Sequence[int]) -> Figures:
    """Recall at each k, reciprocal rank and rank, expected over the orders of equal scores.

    With a items above, and t others and p matches at the same score, the best match is at a + j with chance
    C(t + p - j, p - 1) / C(t + p, p), j = 1 .. t + 1; its expected rank is a + 1 + t / (p + 1).

    Args:
        found: the standings.
        ks: each 1 or more.

    Raises:
        UsageError: for a k below 1.

    Example:
        >>> one = np.array([1])
        >>> half = figures(Standings(0 * one, one, one, one, 7), [1, 5])
        >>> float(half.recall[1][0]), float(half.recall[5][0]), float(half.rank[0]), float(half.reciprocal[0])
        (0.5, 1.0, 1.5, 0.75)
    """
    if not ks or min(ks) < 1:
        raise UsageError(f"k is {list(ks)}: expected whole numbers of 1 or more")
    cases, case = np.unique(
        np.stack([found.above, found.tied, found.shared], axis=1), axis=0, return_inverse=True
    )
    case = case.reshape(-1)
    recall = np.zeros((len(ks), len(cases)))
    reciprocal = np.zeros(len(cases))
    for i, (above, tied, shared) in enumerate(cases.tolist()):
        place = np.arange(1, tied + 2)
        step = np.concatenate(
            [[shared / (tied + shared)], (tied - place + 1)[:-1] / (tied + shared - place)[:-1]]
        )
        chance = np.cumprod(step)
        reciprocal[i] = chance @ (1.0 / (above + place))
        for j, k in enumerate(ks):
            # The last place is certain: said as 1, not as a sum of chances that rounds below it.
            recall[j, i] = 1.0 if above + tied + 1 <= k else chance[: max(0, k - above)].sum()
    rank = found.above + 1 + found.tied / (found.shared + 1)
    return Figures(
        {k: recall[j][case] for j, k in enumerate(ks)}, reciprocal[case], np.asarray(rank, np.float64)
    )


def _best(
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    matches: tuple[NDArray[np.integer], NDArray[np.integer]],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Each query's best score among its matches, how many matches have it, and how many there are."""
    of, item = (np.asarray(side, np.int64) for side in matches)
    for name, places, n in (("query", of, len(queries)), ("gallery item", item, len(gallery))):
        outside = places[(places < 0) | (places >= n)]
        if len(outside):
            raise DataError(f"matches name {name} {int(outside[0])} of {n}")
    counts = np.bincount(of, minlength=len(queries))
    alone = np.flatnonzero(counts == 0)
    if len(alone):
        raise DataError(
            f"{len(alone)} of {len(queries)} queries have no match, first row {alone[:3].tolist()}"
        )
    order = np.argsort(of, kind="stable")
    of, item = of[order], item[order]
    scores = _exact(queries, gallery, of, item)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    bar: NDArray[np.float64] = np.maximum.reduceat(scores, starts)
    shared: NDArray[np.int64] = np.add.reduceat((scores == bar[of]).astype(np.int64), starts)
    return bar, shared, counts


def _compare(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    bar: NDArray[np.float64],
    size: NDArray[np.float64],
    copies: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each row of x, how many rows of y score above its bar and how many at it, copies counted.

    ``size`` bounds the products of the norms.
    """
    above, close = _placed(x, y, bar, size)
    if np.count_nonzero(close) > _EXACT_SHARE * close.size:
        above, close = _placed(x.astype(np.float64), y.astype(np.float64), bar, size)
    if copies.max() == 1:
        higher = np.count_nonzero(above, axis=1).astype(np.int64)
    else:
        higher = (above @ copies.astype(np.float64)).astype(np.int64)  # whole numbers below 2^53: exact
    same = np.zeros(len(x), np.int64)
    rows, columns = np.nonzero(close)
    if len(rows):
        exact = _exact(x, y, rows, columns)
        np.add.at(higher, rows, np.where(exact > bar[rows], copies[columns], 0))
        np.add.at(same, rows, np.where(exact == bar[rows], copies[columns], 0))
    return higher, same


def _placed(
    x: NDArray[np.floating], y: NDArray[np.floating], bar: NDArray[np.float64], size: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which scores are surely above the bar, and which are too close to tell in this arithmetic.

    Source of the bound: Higham 2002, "Accuracy and stability of numerical algorithms", section 3.1: a dot product
    of d terms, added in any order, is off by at most d u / (1 - d u) times the product of the norms.
    """
    # The bar and the scores that decide close calls are float64 sums, each off by its own, far smaller, error.
    slack = (_error(x.shape[1], x.dtype) + 2 * _error(x.shape[1], np.dtype(np.float64))) * size
    slack = slack + np.finfo(x.dtype).tiny  # of products below the smallest number
    high = np.nextafter((bar + slack).astype(x.dtype), np.inf)
    low = np.nextafter((bar - slack).astype(x.dtype), -np.inf)
    scores = x @ y.T
    above = scores > high[:, None]
    return above, (scores >= low[:, None]) ^ above


def _error(d: int, dtype: np.dtype[np.floating]) -> float:
    unit = float(np.finfo(dtype).eps) / 2
    return d * unit / (1 - d * unit)


def _exact(
    x: NDArray[np.float32], y: NDArray[np.float32], rows: NDArray[np.integer], columns: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Dot products of pairs of rows, (p,) float64, each added in the same order wherever it stands.

    Products of two float32 are exact in float64, and numpy adds a contiguous row pairwise by its length alone.
    """
    scores = np.empty(len(rows))
    for part in _slices(len(rows), max(1, _CHUNK // max(1, x.shape[1]))):
        scores[part] = (x[rows[part]].astype(np.float64) * y[columns[part]]).sum(axis=1)
    return scores


def _distinct(rows: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """First places of the distinct rows, ascending, and how often each is there."""
    # Digests rather than rows are sorted: sorting rows would copy the gallery.
    digests = np.array([hashlib.blake2b(row.data, digest_size=16).digest() for row in rows], dtype="V16")
    _, first, copies = np.unique(digests, return_index=True, return_counts=True)
    order = np.argsort(first)
    return first[order], copies[order].astype(np.int64)


def _checked(rows: NDArray[np.floating], what: str) -> NDArray[np.float32]:
    if rows.ndim != 2 or not rows.size:
        raise DataError(f"{what} have shape {rows.shape}: expected (n, d) with n and d of 1 or more")
    found = np.ascontiguousarray(rows, dtype=np.float32)
    bad = sum(int((~np.isfinite(found[part])).any(axis=1).sum()) for part in _slices(len(found), BLOCK))
    if bad:
        raise DataError(f"{what} hold NaN or infinity in {bad} of {len(found)} rows")
    return found


def _norms(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    norms = np.empty(len(rows))
    for part in _slices(len(rows), BLOCK):
        norms[part] = np.linalg.norm(rows[part].astype(np.float64), axis=1)
    return norms


def _slices(n: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, n)) for start in range(0, n, step))
