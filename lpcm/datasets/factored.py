"""Datasets that know the factors behind their pictures. Refuses factors that do not fit their samples.

A loader lists samples and, beside them, a table of factors a split; digest and look-up are the same for all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lpcm.datasets.listing import ListedDataset, Listing
from lpcm.errors import DataError
from lpcm.plugin.truth import FactorKind, Factors
from lpcm.store.digest import digest_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class FactorListing(Listing):
    """What was found, with factors.

    Args:
        factors: of each split, rows aligned with its samples.
    """

    factors: Mapping[str, Factors]


class FactoredDataset(ListedDataset):
    """A dataset whose ``_list`` gives a ``FactorListing``."""

    @cached_property
    def _factors(self) -> Mapping[str, Factors]:
        found = self.listing
        if not isinstance(found, FactorListing):
            raise TypeError(f"{type(self).__name__}._list gives a Listing: expected a FactorListing")
        for split, samples in found.samples.items():
            rows = len(found.factors[split])
            if rows != len(samples):
                raise DataError(f"{self.name}: {rows} rows of factors for {len(samples)} samples of {split}")
        return found.factors

    def factors(self, split: str) -> Factors:
        """Factors of a split, rows aligned with ``samples(split)``.

        Raises:
            MissingError: when the dataset is not on disk.
            DataError: when its layout is not the expected one, or it has no such split.
        """
        self.samples(split)
        return self._factors[split]

    def digest(self) -> str:
        """Hex digest that moves with any sample, its file or one of its factors."""
        return self._factored_digest

    @cached_property
    def _factored_digest(self) -> str:
        import numpy as np

        tables = {}
        for split in self.splits:
            factors = self._factors[split]
            # In the order of the ids, as for the samples.
            order = sorted(range(len(factors)), key=lambda row: self.listing.samples[split][row].id)
            values = np.ascontiguousarray(factors.values[order], dtype="<f8")
            tables[split] = [factors.names, factors.kinds, hashlib.sha256(values.tobytes()).hexdigest()]
        return digest_of({"schema": 1, "samples": super().digest(), "factors": tables})


def make_factors(names: Sequence[str], kinds: Sequence[FactorKind], values: NDArray[np.float64]) -> Factors:
    """Factors whose values nobody can write to.

    Args:
        names: f names.
        kinds: f kinds.
        values: (n, f) numbers.

    Raises:
        DataError: for values that are not finite, or another number of columns than names.
    """
    import numpy as np

    table = np.array(values, np.float64)
    if table.ndim != 2 or table.shape[1] != len(names) or len(names) != len(kinds):
        raise DataError(f"factors of shape {table.shape}: expected (n, {len(names)}) for {', '.join(names)}")
    wrong = np.flatnonzero(~np.isfinite(table).all(axis=0))
    if len(wrong):
        raise DataError(f"factor {names[wrong[0]]!r} has a value that is not a finite number")
    table.flags.writeable = False
    return Factors(tuple(names), tuple(kinds), table)
