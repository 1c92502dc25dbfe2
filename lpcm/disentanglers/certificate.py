"""The identifiability certificate: which components of a fit are found again. Refuses to count an artefact.

An unmixing always returns k components; it does not say which of them the data decide. Refits do:

- with other seeds on the same rows. Components that nothing decides turn with the starting point. But a small
  undecided subspace may settle on the same accident of the sample whatever the start, so seeds are not enough;
- on the two halves of a random split. The halves share no row, so they share no accident.

Components are compared in whitened space, where a component is a direction and |cosine| is |correlation|; they
are matched one to one (Kuhn 1955, the Hungarian method). The agreement of a component is the least |cosine|
over all its refits and between the two halves of each split.

The bar follows from the hardest case: two sources that cannot be told apart. Their directions are turned in
their plane by an angle that matching brings into +-45 degrees, evenly. That S splits all stay within phi
happens with chance (phi / 45 degrees)^S, so a bar of

    cos(45 degrees * alpha^(1/S))

lets an undecided component through with chance alpha at most, were the splits independent; they share the
sample, which is why each also asks that the halves agree with the fit on all rows (the tests count what gets
through). More undecided sources than two agree less. One undecided source among decided ones is decided by
them: Comon 1994, theorem 11.

Overall, the mean |cosine| between halves stands beside the floor: that of two random rotations of k components,
what finding nothing looks like.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from lpcm.disentanglers.haar import haar
from lpcm.disentanglers.spectrum import Spectrum
from lpcm.errors import DataError, UsageError, nearest
from lpcm.keys import Key
from lpcm.plugin.contracts import Disentangler

ALPHA = 0.05
"""Chance at most with which a component that nothing decides is called identified."""


class Effort(str, Enum):
    """How much is refitted."""

    NONE = "none"
    QUICK = "quick"
    FULL = "full"


class Decider(str, Enum):
    """What decides the components of a disentangler, where anything does."""

    INDEPENDENCE = "independence"
    VARIANCE = "variance"  # principal axes: found again where variances differ, and no more than that
    NOTHING = "nothing"


@dataclass(frozen=True)
class Budget:
    """What is refitted: ``seeds`` times all rows, and ``splits`` times two halves of them.

    In rows this is ``seeds + splits`` fits more than the one that is certified.
    """

    seeds: int
    splits: int


BUDGETS: Mapping[Effort, Budget] = {Effort.QUICK: Budget(1, 3), Effort.FULL: Budget(2, 6)}


@dataclass(frozen=True, eq=False)
class Certificate:
    """What refits said of k components.

    Args:
        effort: how much was refitted.
        decider: what decides the components.
        seeds: (k,) least |cosine| with the refits from other seeds, in [0, 1].
        halves: (k,) least |cosine| with the refits on halves, and between halves, in [0, 1].
        between_seeds: mean matched |cosine| of the fit with those from other seeds.
        between_halves: mean matched |cosine| of the two halves of a split.
        floor: mean matched |cosine| of two random rotations of k components.
        bar: agreement from which on a component counts as identified.
        notes: refits that could not be made, and why.
    """

    effort: Effort
    decider: Decider
    seeds: NDArray[np.float64]
    halves: NDArray[np.float64]
    between_seeds: float
    between_halves: float
    floor: float
    bar: float
    notes: tuple[str, ...] = ()

    @property
    def agreement(self) -> NDArray[np.float64]:
        """(k,) the lesser of both agreements."""
        return np.minimum(self.seeds, self.halves)

    @property
    def identified(self) -> NDArray[np.bool_]:
        """(k,) whether a component was found again. One component alone has nothing to be told apart from."""
        found: NDArray[np.bool_] = self.agreement >= self.bar
        return found if len(found) > 1 else np.zeros_like(found)

    def report(self) -> dict[str, Any]:
        """Tell a row: counts, mean agreements, floor and bar, then each component's agreement, as JSON values."""
        budget = BUDGETS[self.effort]
        said: dict[str, Any] = {
            "effort": self.effort.value,
            "decided_by": self.decider.value,
            "refits": {"seeds": budget.seeds, "splits": budget.splits},
            "identified": int(self.identified.sum()),
            "of": len(self.agreement),
            "between_seeds": self.between_seeds,
            "between_halves": self.between_halves,
            "floor": self.floor,
            "bar": self.bar,
            "alpha": ALPHA,
            "agreement": [round(float(value), 4) for value in self.agreement],
            "not_identified": [int(place) for place in np.flatnonzero(~self.identified)],
        }
        if self.notes:
            said["notes"] = list(self.notes)
        return said

    def warnings(self) -> list[str]:
        """Say that nothing was identified; empty where something was, or where nothing was meant to be."""
        if self.identified.any() or self.decider is Decider.NOTHING:
            return []
        return [
            f"not one of k={len(self.agreement)} components was identified: the halves of the rows agree to"
            f" {self.between_halves:.2f} on average, random rotations to {self.floor:.2f}, and at least"
            f" {self.bar:.2f} is asked of a component; do not read meaning into single components"
        ]


def effort_of(name: str) -> Effort:
    """The effort of that name. Raises ``UsageError`` that lists them."""
    try:
        return Effort(name)
    except ValueError:
        known = [effort.value for effort in Effort]
        raise UsageError(
            f"certificate is {name!r}: expected {' or '.join(map(repr, known))}", nearest(name, known)
        ) from None


def certify(
    fitted: Disentangler,
    make: Callable[[int], Disentangler],
    rows: NDArray[np.floating] | Spectrum,
    *,
    effort: Effort = Effort.QUICK,
    decider: Decider = Decider.INDEPENDENCE,
    random_state: int = 0,
) -> Certificate:
    """Refit a disentangler and compare.

    Args:
        fitted: what is certified, fitted on ``rows``.
        make: gives a disentangler that was not fitted yet, for a random state; as many components as ``fitted``.
        rows: (n, d) the features of the fit, or their spectrum where it is known.
        effort: ``QUICK`` or ``FULL``.
        decider: what decides its components.
        random_state: decides seeds and splits.

    Returns:
        the certificate of its k components.

    Raises:
        UsageError: for ``Effort.NONE``.

    Source: the module's docstring. A disentangler without ``components_`` is compared by the correlations of
    its outputs on ``rows``, which is the same number.

    Example:
        >>> from lpcm.disentanglers.ica import ICA
        >>> X = Key.of(0).generator().laplace(size=(2001, 3))
        >>> made = ICA(k=3).fit(X)
        >>> certify(made, lambda state: ICA(k=3, random_state=state), X).identified
        array([ True,  True,  True])
    """
    if effort is Effort.NONE:
        raise UsageError("a certificate needs refits", "ask for certificate=quick or certificate=full")
    spectrum = rows if isinstance(rows, Spectrum) else Spectrum.of(rows)
    key = Key.of(random_state).fold("certificate")
    budget = BUDGETS[effort]
    notes: list[str] = []

    def refit(part: NDArray[np.floating], *names: str | int) -> NDArray[np.float64]:
        try:
            return directions(make(key.fold(*names).random_state()).fit(part), spectrum)
        except DataError as error:
            # Rows that cannot be fitted find nothing again: that is the result, and its reason is kept.
            notes.append(f"{names[0]} {names[1]}: {error.message}")
            return np.zeros((0, own.shape[1]))

    own = directions(fitted, spectrum)
    seeds = [cosines(own, matched(own, refit(spectrum.rows, "seed", seed))) for seed in range(budget.seeds)]
    halves: list[NDArray[np.float64]] = []
    between: list[float] = []
    for split in range(budget.splits):
        order = key.fold("split", split).generator().permutation(len(spectrum.rows))
        parts = order[: len(order) // 2], order[len(order) // 2 :]
        # Rows of a half are kept in their order, which is canonical.
        first, second = (
            matched(own, refit(spectrum.rows[np.sort(part)], "split", split, half))
            for half, part in enumerate(parts)
        )
        halves += [cosines(*pair) for pair in ((own, first), (own, second), (first, second))]
        between.append(float(cosines(first, matched(first, second)).mean()))
    return Certificate(
        effort,
        decider,
        np.min(seeds, axis=0),
        np.min(halves, axis=0),
        float(np.mean(seeds)),
        float(np.mean(between)),
        rotation_floor(len(own)),
        bar(budget.splits),
        tuple(notes),
    )


def bar(splits: int, alpha: float = ALPHA) -> float:
    """Agreement that an undecided component reaches with chance ``alpha`` at most (module docstring)."""
    return float(np.cos(np.pi / 4 * alpha ** (1 / splits)))


def rotation_floor(k: int) -> float:
    """Mean matched |cosine| between two random rotations of k components."""
    generator = Key.of(0).fold("floor", k).generator()
    axes = np.eye(k)
    # The mean over k components is averaged over draws until about 512 cosines have come in.
    draws = [cosines(axes, matched(axes, haar(k, generator))).mean() for _ in range(max(4, 512 // k))]
    return float(np.mean(draws))


def directions(fitted: Disentangler, spectrum: Spectrum) -> NDArray[np.float64]:
    """Components as unit vectors of whitened space: (k, r), or (k, n) for a disentangler that is not linear.

    Their inner products are the correlations of components on the spectrum's rows in either case.
    """
    components = getattr(fitted, "components_", None)
    if components is not None:
        rows = (np.asarray(components, dtype=np.float64) @ spectrum.axes.T) * spectrum.scales
    else:
        outputs = np.asarray(fitted.transform(spectrum.rows.astype(np.float32)), dtype=np.float64)
        rows = (outputs - outputs.mean(0)).T
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float64] = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return unit


def matched(own: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each direction of ``own`` its match in ``other``; zeros where ``other`` has fewer."""
    ours, theirs = linear_sum_assignment(-np.abs(own @ other.T))
    partners = np.zeros_like(own)
    partners[ours] = other[theirs]
    return partners


def cosines(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """(k,) |cosine| of directions, row by row, at most 1."""
    found: NDArray[np.float64] = np.minimum(np.abs(np.einsum("ij,ij->i", first, second)), 1.0)
    return found
