"""Whether a component goes with the labels of the training side. Refuses to rank or choose components by them.

Two questions: how much of the label the component's value tells (mutual information), and whether the samples at
its upper end are of one kind (purity). Beside each stands what chance gives and, which is more, what random mixtures
of the components give: where classes lie apart, any axis has an end that is mostly of one class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.keys import Key
from lpcm.tasks.concepts_measures import Mixtures

BINS = 10
"""Bins of equal frequency that values are put into."""

PERMUTATIONS = 200
"""Permutations of the labels behind the null of the information."""

DRAWS = 2000
"""Random sets of samples behind the null of the purity."""

_ROWS = 20_000  # information of more rows would cost minutes and change nothing in the second digit


@dataclass(frozen=True, eq=False)
class Purity:
    """How k components go with labels.

    Args:
        what: ``"class"`` or ``"domain"``.
        names: c names of the labels.
        information: (k,) mutual information of binned value and label, bits.
        chance: (k,) its mean over permuted labels, bits; it is not 0, since a table of counts is never even.
        information_p: (k,) share of permutations that tell as much.
        entropy: of the label, bits: the most that could be told.
        commonest: (k,) the commonest label among the highest samples.
        purity: (k,) its share among them.
        purity_chance: mean of the same over random sets of samples.
        purity_p: (k,) share of random sets that are as pure.
        mixtures_information: mean information of random mixtures, bits.
        mixtures_purity: mean purity of random mixtures.
    """

    what: str
    names: tuple[str, ...]
    information: NDArray[np.float64]
    chance: NDArray[np.float64]
    information_p: NDArray[np.float64]
    entropy: float
    commonest: NDArray[np.int64]
    purity: NDArray[np.float64]
    purity_chance: float
    purity_p: NDArray[np.float64]
    mixtures_information: float
    mixtures_purity: float

    @property
    def told(self) -> NDArray[np.float64]:
        """(k,) information above chance as a share of what could be told above chance; 0 is chance, 1 all of it."""
        share: NDArray[np.float64] = self._share(self.information, self.chance)
        return share

    def _share(self, information: Any, chance: Any) -> Any:
        return (information - chance) / np.maximum(self.entropy - chance, 1e-12)

    def of(self, place: int) -> dict[str, Any]:
        """What is known of one component."""
        return {
            f"{self.what}_information": float(self.information[place]),
            f"{self.what}_information_chance": float(self.chance[place]),
            f"{self.what}_told": float(self.told[place]),
            f"{self.what}_information_p": float(self.information_p[place]),
            f"{self.what}_purity": float(self.purity[place]),
            f"{self.what}_purity_p": float(self.purity_p[place]),
            f"{self.what}_commonest": self.names[int(self.commonest[place])],
        }

    def facts(self) -> dict[str, Any]:
        """What the row says."""
        return {
            "entropy_bits": self.entropy,
            "told_median": float(np.median(self.told)),
            "told_most": float(self.told.max()),
            "told_by_mixtures": float(self._share(self.mixtures_information, self.chance.mean())),
            "purity_median": float(np.median(self.purity)),
            "purity_of_mixtures": self.mixtures_purity,
            "purity_chance": self.purity_chance,
        }


def judge_purity(
    what: str,
    labels: NDArray[np.int64],
    names: Sequence[str],
    values: NDArray[np.float32],
    mixtures: Mixtures,
    top: int,
    key: Key,
) -> Purity | None:
    """Judge components by labels of the training side; ``None`` where there is only one label.

    Args:
        what: what the labels are.
        labels: (n,) int64 in [0, c).
        names: c names.
        values: (n, k) oriented values.
        mixtures: random mixtures of them.
        top: highest samples that purity looks at, at most n.
        key: decides permutations and draws.

    Source: information by counts in bins of equal frequency; its bias is left in and shown as chance.
    """
    if len(np.unique(labels)) < 2:
        return None
    key = key.fold(what)
    information, chance, information_p, entropy = _information(labels, len(names), values, key)
    top = min(top, len(labels))
    counts = _counts_at_the_top(labels, len(names), values, top)
    purity = counts.max(1) / top
    mixed = labels[mixtures.rows]
    information_mixed = _bits(_table_places(mixtures.values, len(names)), mixed, len(names))
    purity_mixed = _counts_at_the_top(mixed, len(names), mixtures.values, top).max(1) / top
    generator = key.fold("sets").generator()
    drawn = np.array(
        [
            np.bincount(labels[generator.choice(len(labels), top, replace=False)]).max() / top
            for _ in range(DRAWS)
        ]
    )
    reached = (drawn[None, :] >= purity[:, None] - 1e-12).sum(1)
    return Purity(
        what,
        tuple(names),
        information,
        chance,
        information_p,
        entropy,
        counts.argmax(1),
        purity,
        float(drawn.mean()),
        (1 + reached) / (1 + DRAWS),
        float(information_mixed.mean()),
        float(purity_mixed.mean()),
    )


def _counts_at_the_top(
    labels: NDArray[np.int64], classes: int, values: NDArray[np.float32], top: int
) -> NDArray[np.int64]:
    """(k, c) how many of each component's highest samples have each label."""
    highest = np.argsort(-values, axis=0, kind="stable")[:top]
    return np.stack([np.bincount(labels[column], minlength=classes) for column in highest.T])


def _information(
    labels: NDArray[np.int64], classes: int, values: NDArray[np.float32], key: Key
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    generator = key.fold("permutations").generator()
    if len(labels) > _ROWS:
        rows = np.sort(generator.choice(len(labels), _ROWS, replace=False))
        labels, values = labels[rows], values[rows]
    places = _table_places(values, classes)
    own = _bits(places, labels, classes)
    permuted = np.stack([_bits(places, generator.permutation(labels), classes) for _ in range(PERMUTATIONS)])
    p = (1 + (permuted >= own - 1e-12).sum(0)) / (1 + PERMUTATIONS)
    entropy = float(_entropy(np.bincount(labels, minlength=classes)[None] / len(labels))[0])
    return own, permuted.mean(0), p, entropy


def _table_places(values: NDArray[np.float32], classes: int) -> NDArray[np.int64]:
    """(n, k) where in a flat table (k, bins, classes) each value's row begins."""
    # Ranks, not values: equal frequencies whatever the distribution is. Ties keep the order of the rows.
    ranks = np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0, kind="stable")
    n, k = values.shape
    places: NDArray[np.int64] = (np.arange(k) * BINS + ranks * BINS // n) * classes
    return places


def _bits(places: NDArray[np.int64], labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """(k,) mutual information of bin and label, bits."""
    n, k = places.shape
    counts = np.bincount((places + labels[:, None]).ravel(), minlength=k * BINS * classes)
    joint = counts.reshape(k, BINS, classes) / n
    return _entropy(joint.sum(2)) + _entropy(joint.sum(1)) - _entropy(joint.reshape(k, -1))


def _entropy(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entropy of each row of shares, bits."""
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    found: NDArray[np.float64] = -(shares * logs).sum(1)
    return found
