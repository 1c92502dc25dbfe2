"""How alpha and beta of a cache model are chosen on validation rows. Refuses to look at anything else.

The logits are linear in alpha:  zero_shot + alpha votes(beta).  So a row is right exactly on an interval of
alpha, whose ends are ratios of differences of logits; one pass over a row's classes judges every alpha at once,
and affinities are computed once for the whole grid.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from lpcm.adapters.cache import Cache
from lpcm.adapters.logistic import log_loss
from lpcm.adapters.search import Edge
from lpcm.adapters.tuning import MeanStanding
from lpcm.adapters.validation import Standing
from lpcm.errors import UsageError


class Search(str, Enum):
    """What alpha and beta are chosen from, and by what."""

    WIDE = "wide"  # geometric grids; validation accuracy, then log-loss, then the first
    PUBLISHED = "published"  # 200 x 20 in even steps; validation accuracy, then the first


class Ties(str, Enum):
    """What decides between settings of equal validation accuracy."""

    LOG_LOSS = "log-loss"
    FIRST = "first"


BETAS = tuple(0.25 * 2 ** (i / 2) for i in range(15))  # to 32: there a vote halves in a cosine of 0.02
ALPHAS = tuple(
    2.0**-4 * 2 ** (i / 2) for i in range(37)
)  # to 2^14: votes that have faded to e^-9 still count

PUBLISHED_STEPS = (200, 20)
PUBLISHED_ENDS = (7.0, 3.0)
"""Steps and ends of beta and alpha in most of the released configurations; each starts at 0.1."""


@dataclass(frozen=True)
class Grid:
    """What to choose from; alphas ascend, and both are above 0."""

    betas: tuple[float, ...]
    alphas: tuple[float, ...]
    ties: Ties


def make_grid(
    search: Search,
    alpha: float | None,
    beta: float | None,
    ends: tuple[float, float] = PUBLISHED_ENDS,
    betas: Sequence[float] = BETAS,
) -> Grid:
    """Lay out the grid of a search; what is fixed has one value.

    Args:
        search: which.
        alpha: a fixed value, above 0, or ``None``.
        beta: the same.
        ends: of beta and alpha in the published grid, which does not contain them.
        betas: of the wide search.
    """
    if search is Search.PUBLISHED:
        grids = [
            tuple(0.1 + i * (end - 0.1) / steps for i in range(steps))
            for steps, end in zip(PUBLISHED_STEPS, ends, strict=True)
        ]
        found = Grid(grids[0], grids[1], Ties.FIRST)
    else:
        found = Grid(tuple(betas), ALPHAS, Ties.LOG_LOSS)
    return Grid(
        found.betas if beta is None else (beta,), found.alphas if alpha is None else (alpha,), found.ties
    )


@dataclass(frozen=True)
class Choice:
    """The best point of a grid.

    Args:
        beta, alpha: its settings.
        weighting: place of its weights among those that were offered.
        standing: what validation says of it.
    """

    beta: float
    alpha: float
    weighting: int
    standing: Standing


def choose_point(
    zero_shot: NDArray[np.float64],
    cache: Cache,
    rows: NDArray[np.floating],
    truth: NDArray[np.int64],
    grid: Grid,
    weightings: Sequence[NDArray[np.float64] | None] = (None,),
) -> Choice:
    """Find the point of the grid that stands best on validation rows.

    Args:
        zero_shot: (q, c) the part of the logits that the cache is added to.
        cache: the keys.
        rows: (q, d) validation rows.
        truth: (q,) their labels.
        grid: beta and alpha; beta is the outer loop where the first of equals counts.
        weightings: weights of the keys to choose from, each (n,) or ``None`` for 1; the innermost loop.
    """
    right = count_right(zero_shot, cache, rows, truth, grid, weightings)
    tied = np.argwhere(right == right.max())
    if grid.ties is Ties.FIRST:
        tied = tied[:1]
    losses = _log_losses(zero_shot, cache, rows, truth, grid, weightings, tied)
    place = int(losses.argmin())  # the first of equals
    b, a, w = (int(i) for i in tied[place])
    standing = Standing(len(truth) - int(right[b, a, w]), float(losses[place]), len(truth))
    return Choice(grid.betas[b], grid.alphas[a], w, standing)


@dataclass(frozen=True, eq=False)
class Trial:
    """A cache and the validation rows that judge it: see ``choose_point`` for the shapes."""

    zero_shot: NDArray[np.float64]
    cache: Cache
    rows: NDArray[np.floating]
    truth: NDArray[np.int64]


def choose_across(trials: Sequence[Trial], grid: Grid) -> tuple[float, float, MeanStanding]:
    """Find the alpha and beta that stand best on average over several trials, each counted alike.

    Args:
        trials: one or more; of a single one the point is that of ``choose_point``.
        grid: beta and alpha.

    Returns:
        alpha, beta and their mean standing.
    """
    wrong = [1 - count_right(t.zero_shot, t.cache, t.rows, t.truth, grid) / len(t.truth) for t in trials]
    errors = np.mean(wrong, axis=0).round(12)  # rounded, so that the order of the trials cannot break a tie
    tied = np.argwhere(errors == errors.min())
    if grid.ties is Ties.FIRST:
        tied = tied[:1]
    losses = np.mean(
        [_log_losses(t.zero_shot, t.cache, t.rows, t.truth, grid, (None,), tied) for t in trials], axis=0
    ).round(12)
    place = int(losses.argmin())
    b, a, _ = (int(i) for i in tied[place])
    return grid.alphas[a], grid.betas[b], MeanStanding(float(errors.min()), float(losses[place]))


def choose_calibrated(
    zero_shot: NDArray[np.float64],
    cache: Cache,
    rows: NDArray[np.floating],
    truth: NDArray[np.int64],
    grid: Grid,
) -> Choice:
    """Find the point of the grid with the lowest validation log-loss, whatever its accuracy: a start for training.

    Accuracy hardly changes beyond some alpha, but there the softmax is saturated and its gradient gone.

    Args:
        zero_shot: (q, c) the part of the logits that the cache is added to.
        cache: the keys.
        rows: (q, d) validation rows.
        truth: (q,) their labels.
        grid: beta and alpha.
    """
    right = count_right(zero_shot, cache, rows, truth, grid)
    points = np.argwhere(right >= 0)
    losses = _log_losses(zero_shot, cache, rows, truth, grid, (None,), points)
    place = int(losses.argmin())
    b, a, _ = (int(i) for i in points[place])
    standing = Standing(len(truth) - int(right[b, a, 0]), float(losses[place]), len(truth))
    return Choice(grid.betas[b], grid.alphas[a], 0, standing)


def count_right(
    zero_shot: NDArray[np.float64],
    cache: Cache,
    rows: NDArray[np.floating],
    truth: NDArray[np.int64],
    grid: Grid,
    weightings: Sequence[NDArray[np.float64] | None] = (None,),
) -> NDArray[np.int64]:
    """Count the rows that are right at each point: (betas, alphas, weightings)."""
    right = np.zeros((len(grid.betas), len(grid.alphas), len(weightings)), dtype=np.int64)
    alphas = np.asarray(grid.alphas)
    for which, distances in cache.blocks(rows):
        for b, beta in enumerate(grid.betas):
            near = np.exp(-beta * distances)
            for w, weights in enumerate(weightings):
                low, high = right_between(zero_shot[which], cache.sum_by_class(near, weights), truth[which])
                right[b, :, w] += _count_inside(alphas, low, high)
    return right


def right_between(
    zero_shot: NDArray[np.float64], votes: NDArray[np.float64], truth: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the open interval of alpha in which each row's label has the largest logit; empty when low >= high.

    Label y beats class j where  alpha (votes_y - votes_j) > zero_shot_j - zero_shot_y.  Where the votes are equal
    alpha does not matter, and equal logits go to the first class, as with ``argmax``.

    Args:
        zero_shot: (q, c) the constant part of the logits.
        votes: (q, c) the part that alpha multiplies.
        truth: (q,) labels.

    Example:
        >>> low, high = right_between(np.array([[3.0, 1.0]]), np.array([[0.0, 4.0]]), np.array([1]))
        >>> low.tolist(), high.tolist()
        ([0.5], [inf])
    """
    at = np.arange(len(truth)), truth
    need = zero_shot - zero_shot[at][:, None]
    lead = votes[at][:, None] - votes
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = need / lead
    low = np.where(lead > 0, ratio, -np.inf).max(1)
    high = np.where(lead < 0, ratio, np.inf).min(1)
    before = np.arange(votes.shape[1]) < truth[:, None]
    beaten = (lead == 0) & ((need > 0) | ((need == 0) & before))
    high[beaten.any(1)] = -np.inf
    return low, high


def edge(value: float, grid: Sequence[float]) -> Edge:
    """Say whether a chosen value is the least or the largest of several."""
    if len(grid) == 1:
        return Edge.NONE
    return {min(grid): Edge.LOWER, max(grid): Edge.UPPER}.get(value, Edge.NONE)


def refuse_unusable(**settings: float | None) -> None:
    """Raise ``UsageError`` that names a setting which is given and not a number above 0."""
    for name, value in settings.items():
        if value is not None and not (np.isfinite(value) and value > 0):
            raise UsageError(f"{name} is {value}: expected a number above 0")


def parse_search(search: str) -> Search:
    """The search of this name. Raises ``UsageError`` for another."""
    if search not in tuple(member.value for member in Search):
        raise UsageError(f"search is {search!r}: expected 'wide' or 'published'")
    return Search(search)


def say_selection(grid: Grid) -> str:
    """How the row says that a point of the grid was chosen."""
    if len(grid.betas) == len(grid.alphas) == 1:
        return f"alpha fixed at {grid.alphas[0]:g}, beta at {grid.betas[0]:g}"
    ties = "then log-loss, then" if grid.ties is Ties.LOG_LOSS else "then"
    return f"validation accuracy, {ties} the first of {len(grid.betas)} beta x {len(grid.alphas)} alpha"


def _count_inside(
    alphas: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.int64]:
    first = np.searchsorted(alphas, low, side="right")
    last = np.maximum(np.searchsorted(alphas, high, side="left"), first)
    steps = np.bincount(first, minlength=len(alphas) + 1) - np.bincount(last, minlength=len(alphas) + 1)
    inside: NDArray[np.int64] = np.cumsum(steps)[:-1]
    return inside


def _log_losses(
    zero_shot: NDArray[np.float64],
    cache: Cache,
    rows: NDArray[np.floating],
    truth: NDArray[np.int64],
    grid: Grid,
    weightings: Sequence[NDArray[np.float64] | None],
    points: NDArray[np.intp],
) -> NDArray[np.float64]:
    """The mean log-loss at each of (p, 3) points of the grid, in nats."""
    places = sorted(range(len(points)), key=lambda p: (points[p][0], points[p][2]))
    sums = np.zeros(len(points))
    for which, distances in cache.blocks(rows):
        for b, of_beta in itertools.groupby(places, key=lambda p: int(points[p][0])):
            near = np.exp(-grid.betas[b] * distances)
            for w, of_weights in itertools.groupby(of_beta, key=lambda p: int(points[p][2])):
                votes = cache.sum_by_class(near, weightings[w])
                for p in of_weights:
                    logits = zero_shot[which] + grid.alphas[points[p][1]] * votes
                    sums[p] += len(logits) * log_loss(logits, truth[which])
    mean: NDArray[np.float64] = sums / len(truth)
    return mean
