"""What the theorems promise of a row and what the paper reports for it. Refuses to guess a number that is not known.

The paper's row-by-row values could not be read; the ranges of its table 1 are those that it gives for all rows that
violate an assumption. Source: arXiv 2402.06223, theorems 4.1 and 4.3, table 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from lpcm.geometries.box import Box
from lpcm.geometries.laws import LawName
from lpcm.geometries.space import Space
from lpcm.geometries.sphere import Sphere
from lpcm.geometries.unbounded import Unbounded
from lpcm.plugin.contracts import Geometry

_PROMISES = {
    "orthogonal": "identified up to an orthogonal map: R^2 is the theorem's score; axes, and so MCC, are not promised",
    "permutation": "identified up to order, sign and scale of the axes: MCC is the theorem's score",
    "linear": "identified up to an invertible linear map: R^2 is the theorem's score",
    "nothing": "no theorem covers this row",
}

NORMAL_LATENT = (
    "a normal latent is not identified: with a normal conditional, rotations leave the law of the pair as it is, so no "
    "method can find its axes"
)


@dataclass(frozen=True)
class Range:
    """A range of the paper's table 1.

    Args:
        low, high: as shares of 1.
        said: what it is.
    """

    low: float
    high: float
    said: str


_RANGES = {
    ("r2", True): Range(0.994, 0.996, "99.5 +- 0.1, sphere, uniform, von Mises-Fisher"),
    ("r2", False): Range(0.885, 0.963, "88.5 to 96.3 over the rows that violate an assumption, R^2"),
    ("mcc", True): Range(0.990, 0.992, "99.1 +- 0.1, convex body, uniform, Laplace"),
    ("mcc", False): Range(0.956, 0.986, "95.6 to 98.6 over the rows that violate an assumption, MCC"),
}
_OF_METRIC: dict[str, tuple[type, ...]] = {"r2": (Sphere, Unbounded), "mcc": (Box, Unbounded)}


def promise(space: Geometry) -> str:
    """What the theorems say of a space, in a sentence."""
    return _PROMISES[space.identifies]


def theorem_metric(space: Geometry) -> str:
    """The score that the theorem of a space speaks of: ``"mcc"`` for a permutation, else ``"r2"``."""
    return "mcc" if space.identifies == "permutation" else "r2"


def reported(space: Geometry, metric: str) -> Range | None:
    """What the paper reports for a row of this space; ``None`` where it has no such row.

    Example:
        >>> from lpcm.geometries.box import Box
        >>> reported(Box(3), "mcc").said
        '99.1 +- 0.1, convex body, uniform, Laplace'
        >>> reported(Box(3), "r2") is None
        True
    """
    if not isinstance(space, Space) or not isinstance(space, _OF_METRIC.get(metric, ())):
        return None
    # The paper counts the generalised normal among the violated rows, although its argument holds for p = 3 too.
    matched = LawName.LAPLACE if metric == "mcc" else LawName.VMF
    covered = space.identifies != "nothing" and space.conditional.name is matched
    return _RANGES[metric, covered]


def is_normal(space: Geometry) -> bool:
    """Whether pairs of latents are normal in all of R^d; a conditional of another law still shows axes."""
    return isinstance(space, Unbounded) and {space.marginal.name, space.conditional.name} == {LawName.NORMAL}
