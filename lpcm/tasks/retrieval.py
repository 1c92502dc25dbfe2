"""The retrieval task: find the caption of an image, and the image of a caption. Refuses to hold all scores at once.

Recall at several k, reciprocal rank, median and mean rank, in both directions, from one streamed pass over the
gallery (``lpcm.metrics.ranking``). An image with several captions is found by its best one. Items that score the
same are in no order: every figure is its expectation over their orders.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lpcm.errors import DataError, UsageError
from lpcm.metrics.ranking import Figures, Standings, figures, standings
from lpcm.plugin.contracts import Bench
from lpcm.plugin.truth import Score, Truth
from lpcm.tasks.shared_space import (
    PLAIN,
    Centre,
    SharedSpace,
    centre_of,
    one_of,
    seeds_of,
    shared_space,
)
from lpcm.tasks.threads import blas_threads

KS = (1, 5, 10)
SEEDS = (0, 1, 2, 3, 4)
MOST_PAIRS = 1 << 26
"""Matches that ``equal=match`` may make: a gigabyte of places."""


class Direction(str, Enum):
    """What is the query, and what is searched."""

    IMAGE_TO_TEXT = "image-to-text"  # q images, a gallery of m captions
    TEXT_TO_IMAGE = "text-to-image"  # q captions, a gallery of n images


class Equal(str, Enum):
    """What a caption is worth that reads like one of the query's own but belongs to another image."""

    OTHER = "other"  # nothing: only an image's own captions are its match, as published figures have it
    MATCH = "match"  # as much as its own


class Retrieval:
    """Cross-modal retrieval over disentangler x direction x seed.

    Args:
        k: ranks at which recall is reported; the smallest is the value.
        directions: ``"both"``, or one of them.
        equal: what captions with the same features are worth to each other's images: ``"other"`` or ``"match"``.
        centre: which mean is taken off the texts before a disentangler maps them, see ``lpcm.tasks.shared_space``.

    Source: recall at 1, 5, 10 in both directions: Karpathy and Fei-Fei 2015, section 4.2; the rank of an image is
    that of its best caption there too.
    """

    truth = Truth.OWNERS

    def __init__(
        self,
        *,
        k: Sequence[int] | int | str = KS,
        directions: str = "both",
        equal: str = Equal.OTHER.value,
        centre: str = Centre.FITTED.value,
    ) -> None:
        self.ks = _ranks(k)
        both = tuple(direction.value for direction in Direction)
        self.directions = both if directions == "both" else (one_of("directions", directions, both),)
        self.equal = Equal(one_of("equal", equal, tuple(each.value for each in Equal)))
        self.centre = centre_of(centre)

    def cells(self, axes: Mapping[str, Sequence[Any]]) -> Iterator[Mapping[str, Any]]:
        """The product; a disentangler that draws nothing has one seed."""
        for encoder in axes["encoder"]:
            for dataset in axes["dataset"]:
                for disentangler in axes.get("disentangler") or ("none",):
                    for direction in self.directions:
                        for seed in seeds_of(disentangler, axes.get("seed") or SEEDS):
                            yield {
                                "encoder": encoder,
                                "dataset": dataset,
                                "disentangler": disentangler,
                                "direction": direction,
                                "seed": seed,
                            }

    def fit(self, bench: Bench, axes: Mapping[str, Any]) -> FittedRetrieval:
        """Fit the disentangler on unlabelled training images; without one nothing is fitted.

        An encoder that reads no text, and images without captions, are refused where captions are read.

        Raises:
            DataError: when a disentangler has nothing to fit on, or ``centre=modality`` no training captions.
        """
        texts = bench.captions("train").features if self._needs_captions(bench, axes) else None
        space = shared_space(bench, str(axes["disentangler"]), self.centre, texts)
        direction = Direction(axes["direction"])
        facts = {
            **space.facts,
            "similarity": f"cosine of {space.facts['of']}",
            "k": list(self.ks),
            "equal": self.equal.value,
            "ties": "expected over random orders",
        }
        return FittedRetrieval(space, direction, self.ks, self.equal, facts, space.warnings)

    def score(
        self, predictions: tuple[NDArray[np.float32], ...], owners: NDArray[np.int64], classes: int
    ) -> Score:
        """Images to texts, of unit rows of n images and m captions; a fitted cell knows its direction."""
        return _score(predictions, owners, Direction.IMAGE_TO_TEXT, self.ks, self.equal)

    def _needs_captions(self, bench: Bench, axes: Mapping[str, Any]) -> bool:
        unmixed = str(axes["disentangler"]).rpartition(":")[2] != PLAIN
        return unmixed and self.centre is Centre.MODALITY and "train" in bench.splits()


@dataclass(frozen=True, eq=False)
class FittedRetrieval:
    """A fitted cell: the space in which images and captions are compared."""

    _space: SharedSpace
    _direction: Direction
    _ks: tuple[int, ...]
    _equal: Equal
    facts: Mapping[str, Any]
    warnings: Sequence[str]
    selection: str = "none: nothing is chosen"

    def predict(
        self, features: NDArray[np.float32], texts: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Unit rows of both sides: (n, d) and (m, d) to (n, k) and (m, k)."""
        return self._space.images(features), self._space.texts(texts)

    def score(
        self, predictions: tuple[NDArray[np.float32], ...], owners: NDArray[np.int64], classes: int
    ) -> Score:
        """Recall at the smallest k in the cell's direction, with the other figures as details."""
        return _score(predictions, owners, self._direction, self._ks, self._equal)


def _ranks(k: Sequence[int] | int | str) -> tuple[int, ...]:
    """Ranks in ascending order, each once; a text holds them separated by commas."""
    asked: Sequence[Any] = (k,) if isinstance(k, int) else tuple(k)
    if isinstance(k, str):
        asked = [int(part) if part.strip().isdecimal() else part for part in k.split(",")]
    if not asked or any(isinstance(each, bool) or not isinstance(each, int) or each < 1 for each in asked):
        raise UsageError(f"k is {k!r}: expected whole numbers of 1 or more, for example 1,5,10")
    return tuple(sorted(set(asked)))


def _score(
    predictions: tuple[NDArray[np.float32], ...],
    owners: NDArray[np.int64],
    direction: Direction,
    ks: Sequence[int],
    equal: Equal,
) -> Score:
    images, texts = predictions
    _check(len(images), len(texts), owners, direction)
    # By image, so that outcomes of two cells belong to the same queries; the order captions came in says nothing.
    order = np.argsort(owners, kind="stable")
    texts, owners = texts[order], owners[order]
    group = _equal_rows(texts)
    of_text, image = np.arange(len(texts)), owners
    if equal is Equal.MATCH:
        of_text, image = _with_equal(group, owners)
    with threadpool_limits(blas_threads(images.size * len(texts)), user_api="blas"):
        if direction is Direction.IMAGE_TO_TEXT:
            found = standings(images, texts, (image, of_text))
        else:
            found = standings(texts, images, (of_text, image))
    own, chance = figures(found, ks), figures(found.by_chance(), ks)
    first = ks[0]
    best = 1.0 if equal is Equal.MATCH else _best_possible(group, owners, direction)
    return Score(
        metric=f"recall@{first}",
        value=float(own.recall[first].mean()),
        outcomes=own.recall[first],
        null={"chance": float(chance.recall[first].mean())},
        ceiling={"equal captions": best} if first == 1 and best < 1 else {},
        details={
            **_described(own),
            "chance": _described(chance),
            "queries": len(found.above),
            "gallery": found.gallery,
            **_about_ties(found, group, owners),
        },
    )


def _check(n: int, m: int, owners: NDArray[np.int64], direction: Direction) -> None:
    if owners.shape != (m,):
        raise DataError(f"{m} captions were given for owners of shape {owners.shape}: expected one each")
    if n < 2 or m < 2:
        raise DataError(
            f"the test side has {n} images and {m} captions: with one to choose from nothing is retrieved",
            "give it at least two images with a caption each",
        )
    if owners.min() < 0 or owners.max() >= n:
        raise DataError(
            f"captions name images {int(owners.min())} to {int(owners.max())}: expected 0 to {n - 1}"
        )
    without = np.flatnonzero(np.bincount(owners, minlength=n) == 0)
    if len(without) and direction is Direction.IMAGE_TO_TEXT:
        raise DataError(
            f"{len(without)} of {n} images have no caption, first row {int(without[0])}",
            "give each image at least one, or leave it out",
        )


def _described(found: Figures) -> dict[str, Any]:
    return {
        "recall": {str(k): float(values.mean()) for k, values in found.recall.items()},
        "mrr": float(found.reciprocal.mean()),
        "median_rank": float(np.median(found.rank)),
        "mean_rank": float(found.rank.mean()),
    }


def _about_ties(found: Standings, group: NDArray[np.int64], owners: NDArray[np.int64]) -> dict[str, Any]:
    pairs = np.unique(np.stack([group, owners], axis=1), axis=0)
    images = np.bincount(pairs[:, 0])
    return {
        "tied_queries": int(np.count_nonzero(found.tied)),
        "distinct_captions": int(group.max()) + 1,
        "captions_of_several_images": int((images[group] > 1).sum()),
    }


def _equal_rows(rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """The number of each row's group of equal rows, (m,)."""
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in rows], np.int64)


def _with_equal(
    group: NDArray[np.int64], owners: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of a caption and an image that has this caption or one that equals it, each pair once."""
    pairs = np.unique(np.stack([group, owners], axis=1), axis=0)
    starts = np.searchsorted(pairs[:, 0], np.arange(group.max() + 2))
    count = np.diff(starts)[group]
    if count.sum() > MOST_PAIRS:
        raise DataError(
            f"equal captions make {int(count.sum())} matching pairs: expected at most {MOST_PAIRS}",
            "so many captions read the same that they say nothing; leave it at equal=other",
        )
    of_text = np.repeat(np.arange(len(group)), count)
    within = np.arange(len(of_text)) - np.repeat(np.cumsum(count) - count, count)
    return of_text, pairs[np.repeat(starts[group], count) + within, 1]


def _best_possible(group: NDArray[np.int64], owners: NDArray[np.int64], direction: Direction) -> float:
    """Recall at 1 of the best ordering when equal captions cannot be told apart and only own ones count."""
    pairs, copies = np.unique(np.stack([group, owners], axis=1), axis=0, return_counts=True)
    if direction is Direction.TEXT_TO_IMAGE:
        # All that read the same get one first image: best, the one that most of them belong to.
        best = np.zeros(int(group.max()) + 1)
        np.maximum.at(best, pairs[:, 0], copies)
        return float(best.sum() / len(owners))
    # An image's caption shares the first place with its equals.
    share = copies / np.bincount(group)[pairs[:, 0]]
    best = np.zeros(int(owners.max()) + 1)
    np.maximum.at(best, pairs[:, 1], share)
    return float(best.mean())
