"""Which rows of the source domains train, validate and unmix. Refuses to look at features, or at the target.

Validation rows are held out of every class of every source domain. The draw of a class in a domain depends on
the key and their two names alone: it is the same whatever the target is and whichever other domains are
sources, so cells share what is fitted on them.

Source: Gulrajani and Lopez-Paz 2021 (DomainBed), section 3: a fifth of each training domain is held out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lpcm.datasets.names import some
from lpcm.datasets.splits import val_shots
from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.plugin.contracts import Block

HELD_OUT = 0.2
"""Share of each class of each source domain that validates, where shots do not say otherwise."""


@dataclass(frozen=True, eq=False)
class SourceRows:
    """Rows of the block of source domains, each array ascending.

    Args:
        train: labelled rows that are fitted on.
        val: labelled rows that validate; apart from ``train``.
        unlabelled: rows that may be used without their labels: all but ``val``.
        domains: (n,) domain of every row of the block.
    """

    train: NDArray[np.intp]
    val: NDArray[np.intp]
    unlabelled: NDArray[np.intp]
    domains: NDArray[np.str_]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The source domains, in the order of the block."""
        return tuple(dict.fromkeys(self.domains.tolist()))

    def inside(self, rows: NDArray[np.intp], domain: str) -> NDArray[np.intp]:
        """Those of ``rows`` that lie in a domain."""
        inside: NDArray[np.intp] = rows[self.domains[rows] == domain]
        return inside

    def without(self, rows: NDArray[np.intp], domain: str) -> NDArray[np.intp]:
        """Those of ``rows`` that lie in the other domains."""
        without: NDArray[np.intp] = rows[self.domains[rows] != domain]
        return without

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """Labelled rows of each domain, as the row of a result says them."""
        return {
            name: {"train": len(self.inside(self.train, name)), "val": len(self.inside(self.val, name))}
            for name in self.names
        }


def draw_source_rows(block: Block, classes: Sequence[str], shots: int | None, key: Key) -> SourceRows:
    """Draw the rows of one cell.

    Args:
        block: all rows of the source domains.
        classes: c names.
        shots: k labelled rows a class and domain, with min(k, 4) more that validate; ``None`` trains on all but
            the fifth that validates.
        key: of the dataset and the seed.

    Returns:
        The rows. A class that a domain lacks is left out there; of a single row in a domain, none validates.

    Raises:
        DataError: when a class has rows in a domain, but too few for the shots; all such are named. Also when no
            row is left to validate.
    """
    domains = np.array(block.domains)
    train, val, short = [], [], []
    for domain in dict.fromkeys(block.domains):
        for label, rows in _by_class(np.flatnonzero(domains == domain), block.labels):
            name = classes[label]
            order = key.fold("source", domain, name).generator().permutation(rows)
            held = _held_out(len(rows), shots)
            taken = len(rows) - held if shots is None else shots
            if taken + held > len(rows):
                short.append(f"{name!r} in {domain!r} has {len(rows)}")
            train.append(order[:taken])
            val.append(order[len(rows) - held :])
    if short:
        assert shots is not None  # only shots can ask for more rows than there are
        raise DataError(
            f"too few images a class: {shots + val_shots(shots)} needed in each source domain ({shots} shots + "
            f"{val_shots(shots)} for validation), but {some(short)}",
            "ask for fewer shots (--shots), leave that domain out (domains.sources), or add images",
        )
    held_rows = _join(val)
    if not len(held_rows):
        raise DataError(
            "no class of a source domain has two images, so none is left to validate",
            "add images: settings are selected on rows that were not trained on",
        )
    unlabelled = np.setdiff1d(np.arange(len(block)), held_rows)
    return SourceRows(_join(train), held_rows, unlabelled, domains)


def lacking(block: Block, classes: Sequence[str], needed: Sequence[int]) -> Sequence[str]:
    """Say which of the ``needed`` classes have no row in a source domain, or in any of them.

    Args:
        block: all rows of the source domains.
        classes: c names.
        needed: labels that the target can hold.
    """
    domains = np.array(block.domains)
    said = []
    somewhere = set(np.unique(block.labels).tolist())
    nowhere = [label for label in needed if label not in somewhere]
    if nowhere:
        listed = some([repr(classes[label]) for label in nowhere])
        said.append(f"never predicted, since no source domain has an image of them: {listed}")
    for domain in dict.fromkeys(block.domains):
        there = set(np.unique(block.labels[domains == domain]).tolist())
        absent = [repr(classes[label]) for label in needed if label in somewhere - there]
        if absent:
            said.append(f"source domain {domain!r} has no image of {len(absent)} classes: {some(absent)}")
    return said


def _by_class(rows: NDArray[np.intp], labels: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Each label that occurs among the rows, with its rows in ascending order."""
    ordered = rows[np.argsort(labels[rows], kind="stable")]
    present, starts = np.unique(labels[ordered], return_index=True)
    for label, found in zip(present, np.split(ordered, starts[1:]), strict=True):
        yield int(label), found


def _held_out(n: int, shots: int | None) -> int:
    if shots is not None:
        return val_shots(shots)
    return min(max(1, round(HELD_OUT * n)), n - 1)


def _join(parts: Sequence[NDArray[np.intp]]) -> NDArray[np.intp]:
    return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.intp)
