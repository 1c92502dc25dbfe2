"""Splits by key, and the few-shot draw. Refuses to touch images or features: labels and ids in, rows out.

Each class is drawn with a key of its own, so that its images do not depend on which other classes are there.
One keyed order a class serves both draws: shots come from its front, validation from its back. Hence k + 1
shots contain the k shots, and shots and validation never meet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from lpcm.errors import DataError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lpcm.keys import Key

VAL_SHOTS_AT_MOST = 4
"""CoOp caps validation at four images a class (Zhou et al., 2022)."""

TEST_SHARE = 0.3
VAL_SHARE = 0.2
"""Shares of a class in a keyed split; CoOp's own splits are 50 : 20 : 30."""


class ValPool(str, Enum):
    """Where validation images are drawn from."""

    TRAIN = "train"  # the dataset has no validation split: from train, apart from the shots
    OWN = "val"  # the dataset's own validation split


def val_shots(shots: int) -> int:
    """Validation images a class: min(shots, 4)."""
    return min(shots, VAL_SHOTS_AT_MOST)


def draw_shots(
    labels: NDArray[np.integer[Any]] | Sequence[int],
    shots: int,
    key: Key,
    classes: Sequence[str] | None = None,
) -> NDArray[np.intp]:
    """Draw ``shots`` rows of each class, without replacement.

    Args:
        labels: (n,) labels of the train split, in its fixed order.
        shots: rows a class, 1 or more.
        key: the draw; the same key with more shots gives a superset.
        classes: c class names. With them a class is keyed by its name and one without rows is an error;
            without them only the labels that occur are drawn, keyed by number.

    Returns:
        Rows in ascending order, (c * shots,).

    Raises:
        DataError: when a class has too few rows; all such classes are named.
        UsageError: when ``shots`` is below 1.

    Example:
        >>> from lpcm.keys import Key
        >>> rows = draw_shots([0, 1, 0, 1, 0, 1], 2, Key.of(0))
        >>> sorted(int(row) % 2 for row in rows)
        [0, 0, 1, 1]
    """
    _check_shots(shots)
    orders = _orders(labels, key, classes)
    _check_counts(orders, shots, f"{shots} shots")
    return _join([rows[:shots] for rows in orders.values()])


def draw_val(
    labels: NDArray[np.integer[Any]] | Sequence[int],
    shots: int,
    key: Key,
    classes: Sequence[str] | None = None,
    *,
    pool: ValPool = ValPool.TRAIN,
) -> NDArray[np.intp]:
    """Draw min(shots, 4) validation rows of each class.

    Args:
        labels: (n,) labels of the split that ``pool`` names.
        shots: shots a class of the study, 1 or more.
        key: the key that ``draw_shots`` was given.
        classes: c class names, as for ``draw_shots``.
        pool: with ``ValPool.TRAIN`` the rows are apart from those of ``draw_shots`` with the same arguments.

    Returns:
        Rows in ascending order, (c * min(shots, 4),).

    Raises:
        DataError: when a class has too few rows; all such classes are named.
        UsageError: when ``shots`` is below 1.

    Example:
        >>> from lpcm.keys import Key
        >>> train = [0, 1, 0, 1, 0, 1]
        >>> set(draw_val(train, 1, Key.of(0))) & set(draw_shots(train, 1, Key.of(0)))
        set()
    """
    _check_shots(shots)
    count = val_shots(shots)
    if pool is ValPool.OWN:
        orders = _orders(labels, key.fold("val"), classes)
        _check_counts(orders, count, f"{count} for validation")
    else:
        orders = _orders(labels, key, classes)
        _check_counts(orders, shots + count, f"{shots} shots + {count} for validation")
    return _join([rows[len(rows) - count :] for rows in orders.values()])


def split_by_key(ids: Sequence[str], strata: Sequence[str], key: Key) -> dict[str, list[int]]:
    """Split samples into train, val and test, about 50 : 20 : 30 within each stratum.

    A sample's place follows from its id, so a file that is added or removed moves at most its neighbours
    at the borders. A stratum of one goes to train, of two to train and test.

    Args:
        ids: n unique ids.
        strata: n names, for example of the class.
        key: the split.

    Returns:
        Ascending rows of ``"train"``, ``"val"`` and ``"test"``.
    """
    members: dict[str, list[int]] = {}
    for row, stratum in enumerate(strata):
        members.setdefault(stratum, []).append(row)
    split: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for rows in members.values():
        ranked = sorted(rows, key=lambda row: _rank(key, ids[row]))
        n = len(ranked)
        test = max(1, round(TEST_SHARE * n)) if n > 1 else 0
        val = max(1, round(VAL_SHARE * n)) if n > 2 else 0
        split["test"] += ranked[:test]
        split["val"] += ranked[test : test + val]
        split["train"] += ranked[test + val :]
    return {name: sorted(rows) for name, rows in split.items()}


def _rank(key: Key, name: str) -> bytes:
    # A hash, not a generator: one generator a sample would take a second for ten thousand of them.
    return hashlib.blake2b(name.encode(), key=key.state, digest_size=16).digest()


def _orders(
    labels: NDArray[np.integer[Any]] | Sequence[int], key: Key, classes: Sequence[str] | None
) -> Mapping[str, NDArray[np.intp]]:
    """Rows of each class in its keyed order."""
    array = np.asarray(labels)
    if classes is None:
        names: dict[int, str | int] = {int(label): int(label) for label in np.unique(array)}
    else:
        names = dict(enumerate(classes))
        unknown = sorted({int(label) for label in np.unique(array)} - set(names))
        if unknown:
            raise DataError(
                f"labels {unknown} are outside [0, {len(classes)}): the dataset has {len(classes)} classes"
            )
    return {
        str(name): key.fold("class", name).generator().permutation(np.flatnonzero(array == label))
        for label, name in names.items()
    }


def _check_shots(shots: int) -> None:
    if shots < 1:
        raise UsageError(f"shots is {shots}: expected 1 or more", "Type for example --shots 1,2,4,8,16")


def _check_counts(orders: Mapping[str, NDArray[np.intp]], needed: int, what: str) -> None:
    short = {name: len(rows) for name, rows in orders.items() if len(rows) < needed}
    if short:
        listed = ", ".join(f"{name!r} has {count}" for name, count in list(short.items())[:5])
        more = f" and {len(short) - 5} more classes" if len(short) > 5 else ""
        fewest = min(short.values())
        raise DataError(
            f"too few images a class: {needed} needed ({what}), but {listed}{more}",
            f"The smallest class has {fewest}: ask for fewer shots (--shots), or add images.",
        )


def _join(parts: list[NDArray[np.intp]]) -> NDArray[np.intp]:
    return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.intp)
