"""Which components of a cell's disentangler are found again when it is refitted. Refuses to count a fixed map.

The test is the certificate's (``lpcm.disentanglers.certificate``), here for any disentangler, so that a plugin
needs no setting of its own for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.disentanglers.certificate import (
    BUDGETS,
    Certificate,
    Decider,
    Effort,
    bar,
    certify,
    cosines,
    matched,
)
from lpcm.disentanglers.haar import haar
from lpcm.keys import Key
from lpcm.plugin.contracts import Disentangler

_CASES = 1024  # components simulated for the null: the standard error of a share of 2 % is then 0.4 %
_WIDEST = 64
"""Components simulated at most: chance falls with k, so that what 64 give bounds what more would."""


@dataclass(frozen=True, eq=False)
class Stability:
    """What refits said of k components.

    Args:
        certificate: the comparison.
        fixed: whether every refit gave the same map, to the bit: then nothing was estimated, and agreement says
            nothing.
    """

    certificate: Certificate
    fixed: bool

    @property
    def identified(self) -> NDArray[np.bool_]:
        """(k,) whether each component was found again."""
        found = self.certificate.identified
        return np.zeros_like(found) if self.fixed else found

    def of(self, place: int) -> dict[str, Any]:
        """What is known of one component."""
        certificate = self.certificate
        return {
            "identified": bool(self.identified[place]),
            "agreement": None if self.fixed else float(certificate.agreement[place]),
            "agreement_seeds": None if self.fixed else float(certificate.seeds[place]),
            "agreement_halves": None if self.fixed else float(certificate.halves[place]),
        }

    def facts(self) -> dict[str, Any]:
        """What the row says."""
        certificate = self.certificate
        said = {
            "effort": certificate.effort.value,
            "decided_by": certificate.decider.value,
            "identified": int(self.identified.sum()),
            "of": len(self.identified),
            "agreement_median": None if self.fixed else float(np.median(certificate.agreement)),
            "between_halves": None if self.fixed else certificate.between_halves,
            "floor": certificate.floor,
            "bar": certificate.bar,
        }
        return said | ({"notes": list(certificate.notes)} if certificate.notes else {})

    def warnings(self) -> list[str]:
        """What the reader of the count must know."""
        if self.fixed:
            return [
                "the map does not depend on the rows: its axes are the encoder's own, nothing was estimated,"
                " and so nothing was identified"
            ]
        said = self.certificate.warnings()
        if self.certificate.decider is Decider.VARIANCE and self.identified.any():
            said.append(
                "principal axes are found again wherever variances differ: here identified does not say that an"
                " axis means anything"
            )
        return said


def refit(
    made: Disentangler,
    fit_again: Callable[[NDArray[np.float32], int], Disentangler],
    rows: NDArray[np.float32],
    effort: Effort,
    key: Key,
) -> Stability:
    """Compare a fitted disentangler with refits of it.

    Args:
        made: fitted on ``rows``.
        fit_again: fits it on other rows from a random state.
        rows: (n, d) float32.
        effort: how much is refitted.
        key: decides seeds and splits.

    Raises:
        DataError: when rows are not finite or do not vary.
    """
    map_of_fit = getattr(made, "components_", None)
    moved: list[bool] = []

    class _Refit:
        """What the certificate fits: the cell's disentangler, watched for whether its map moves."""

        def __init__(self, state: int) -> None:
            self._state = state

        def fit(self, part: NDArray[np.float32]) -> Disentangler:
            again = fit_again(part, self._state)
            map_of_refit = getattr(again, "components_", None)
            same = (
                map_of_fit is not None
                and map_of_refit is not None
                and np.array_equal(map_of_fit, map_of_refit)
            )
            moved.append(not same)
            return again

    certificate = certify(
        made,
        _Refit,  # type: ignore[arg-type]  # certify calls nothing of it but fit
        rows,
        effort=effort,
        decider=getattr(made, "decider", Decider.INDEPENDENCE),
        random_state=key.random_state(),
    )
    return Stability(certificate, fixed=not any(moved))


@cache
def chance_identified(k: int, effort: Effort) -> float:
    """Share of k components that the same test calls identified when every fit is a rotation of its own.

    Args:
        k: components.
        effort: how much is refitted.
    """
    if k < 2:
        return 0.0
    k = min(k, _WIDEST)
    generator = Key.of(0).fold("concepts", "chance", k).generator()
    budget, axes, least = BUDGETS[effort], np.eye(k), bar(BUDGETS[effort].splits)
    found = 0
    cases = range(max(1, _CASES // k))
    for _ in cases:
        agreement = np.ones(k)
        for _ in range(budget.seeds):
            agreement = np.minimum(agreement, _agreement(axes, haar(k, generator)))
        for _ in range(budget.splits):
            first, second = (matched(axes, haar(k, generator)) for _ in range(2))
            for pair in ((axes, first), (axes, second), (first, second)):
                agreement = np.minimum(agreement, cosines(*pair))
        found += int((agreement >= least).sum())
    return found / (k * len(cases))


def _agreement(own: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    return cosines(own, matched(own, other))
