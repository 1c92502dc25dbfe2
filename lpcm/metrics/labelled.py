"""Class and domain as factors, for datasets that know no others. Refuses to make a factor of a single value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lpcm.plugin.truth import FactorKind, Factors


def class_and_domain(labels: NDArray[np.integer], domains: Sequence[str]) -> Factors | None:
    """Two categories, ``class`` and ``domain``.

    Args:
        labels: (n,) class of each sample.
        domains: n names; empty strings when the dataset has none.

    Returns:
        factors whose values are the labels and the places of the domains among their sorted names; ``None`` unless
        both take at least two values, since metrics compare factors with each other.

    Example:
        >>> class_and_domain(np.array([3, 1, 3]), ("photo", "sketch", "sketch")).values.tolist()
        [[3.0, 0.0], [1.0, 1.0], [3.0, 1.0]]
        >>> class_and_domain(np.array([3, 1, 3]), ("", "", ""))
    """
    names, places = np.unique(np.asarray(domains, dtype=str), return_inverse=True)
    if len(names) < 2 or len(np.unique(labels)) < 2:
        return None
    values = np.column_stack([labels, places]).astype(np.float64)
    return Factors(("class", "domain"), (FactorKind.CATEGORICAL,) * 2, values)
