"""What batch size buys: trainings that differ in it alone, over the same number of pairs, each with its best rate.

Refuses to choose a rate on anything but validation. Larger batches take fewer steps, so each size is given several
rates: with one for all, the curve would show the rate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from typing import Any

from lpcm.errors import UsageError
from lpcm.keys import Key
from lpcm.train.assemble import Assembled
from lpcm.train.loop import Training
from lpcm.train.recipe import WHOLE_SET, Recipe
from lpcm.train.validation import Retrieval

RATES = (0.3, 1.0, 3.0)
"""Times the recipe's rate."""


@dataclass(frozen=True)
class Point:
    """A batch size and what it came to.

    Args:
        batch: pairs a step.
        steps: that were taken.
        rate: the one that was best on validation, of those tried.
        epoch: that was kept.
        val: retrieval of the validation pairs at that epoch.
        seconds: of the training of that rate, wall clock, with validation.
        cpu_seconds: the same in processor time of all threads.
    """

    batch: int
    steps: int
    rate: float
    epoch: int
    val: Retrieval
    seconds: float
    cpu_seconds: float

    def told(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def parse_sizes(text: str) -> tuple[int | None, ...]:
    """Read ``256,2048,all``. Raises ``UsageError`` for anything else."""
    sizes: list[int | None] = []
    for part in text.split(","):
        word = part.strip()
        if word != WHOLE_SET and not (word.isdecimal() and int(word) >= 2):
            raise UsageError(
                f"--compare-batches has {word!r}: expected whole numbers of 2 or more, or all",
                "type for example --compare-batches 256,2048,all",
            )
        sizes.append(None if word == WHOLE_SET else int(word))
    return tuple(dict.fromkeys(sizes))


def compare(
    recipe: Recipe,
    assembled: Assembled,
    sizes: Sequence[int | None],
    tell: Callable[[str], None] = lambda _: None,
    rates: Sequence[float] = RATES,
) -> tuple[Point, ...]:
    """Train once for each size and rate, all epochs, from the same weights.

    Args:
        recipe: of all of them; its batch and patience are not used.
        assembled: data and fresh weights, which are left as they are.
        sizes: pairs a step, ``None`` for the whole set.
        tell: told of each training.
        rates: times the recipe's.

    Raises:
        UsageError: for a batch that is larger than the set.
    """
    for size in sizes:
        assembled.train.for_training(size)
    points = []
    for size in sizes:
        tried = []
        for factor in rates:
            tried.append(_point(replace(recipe, batch=size, patience=0, lr=recipe.lr * factor), assembled))
            tell(_line(tried[-1]))
        points.append(max(tried, key=lambda point: point.val.score))
    return tuple(points)


def table(points: Sequence[Point]) -> str:
    """The points as a Markdown table; time is in units of the first one's."""
    head = (
        "| batch | steps | best rate | epoch kept | R@1 image to text % | R@1 text to image % | time, x the first |"
        " processor time, x the first |"
    )
    rows = [
        f"| {p.batch} | {p.steps} | {p.rate:.1e} | {p.epoch} | {100 * p.val.image_to_text:.1f} "
        f"| {100 * p.val.text_to_image:.1f} | {p.seconds / points[0].seconds:.2f} "
        f"| {p.cpu_seconds / points[0].cpu_seconds:.2f} |"
        for p in points
    ]
    return "\n".join([head, "|---" * 8 + "|", *rows])


def _point(recipe: Recipe, assembled: Assembled) -> Point:
    key = Key.of(recipe.seed).fold("train")
    training = Training(
        deepcopy(assembled.pair), recipe, assembled.train, assembled.val, key, assembled.inputs
    )
    wall, cpu = time.perf_counter(), time.process_time()
    progress = training.run()
    best = progress.epochs[max(progress.best, 1) - 1]
    assert best.val is not None  # there are validation pairs
    return Point(
        recipe.batch or len(assembled.train),
        progress.steps,
        recipe.lr,
        progress.best,
        best.val,
        time.perf_counter() - wall,
        time.process_time() - cpu,
    )


def _line(point: Point) -> str:
    return (
        f"batch {point.batch}, rate {point.rate:g}: R@1 {point.val.image_to_text:.3f} and "
        f"{point.val.text_to_image:.3f} at epoch {point.epoch}, {point.seconds:.1f} s"
    )
