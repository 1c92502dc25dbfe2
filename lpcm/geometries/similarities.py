"""The similarity that a contrastive loss uses: the one that goes with a law, or another one to be wrong on purpose.

Refuses to compute it: ``lpcm.contrastive_loss`` does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lpcm.errors import UsageError, nearest
from lpcm.geometries.laws import Law, LawName

_NAMES = ("dot", "l1", "sqeuclidean", "lp")
_OF_LAW = {LawName.VMF: "dot", LawName.LAPLACE: "l1", LawName.NORMAL: "sqeuclidean"}


@dataclass(frozen=True)
class Similarity:
    """A similarity as ``lpcm.contrastive_loss`` names it.

    Args:
        name: ``"dot"``, or minus a distance: ``"l1"``, ``"sqeuclidean"``, ``"lp"`` (sum of |x - y|^p).
        p: the power of the distance, 1 or more; 2 for ``"dot"``, which on a sphere is half a squared distance.

    Example:
        >>> Similarity.parse("lp:3")
        Similarity(name='lp', p=3.0)
        >>> Similarity.of(Law.parse("laplace:0.1"))
        Similarity(name='l1', p=1.0)
    """

    name: str
    p: float

    @classmethod
    def of(cls, law: Law) -> Similarity:
        """The similarity whose exponential has the law's form."""
        if law.name is LawName.GENNORM:
            return cls("lp", law.exponent)
        return cls.parse(_OF_LAW[law.name])

    @classmethod
    def parse(cls, text: str) -> Similarity:
        """Read ``dot``, ``l1``, ``sqeuclidean`` or ``lp:P``.

        Raises:
            UsageError: for anything else.
        """
        name, _, power = str(text).partition(":")
        if name not in _NAMES:
            raise UsageError(
                f"similarity {text!r} is unknown: expected one of dot, l1, sqeuclidean, lp:P",
                nearest(name, _NAMES) or "type for example similarity=l1",
            )
        if name != "lp":
            if power:
                raise UsageError(
                    f"similarity {text!r} has a number that {name} does not take", f"type {name}"
                )
            return cls(name, 1.0 if name == "l1" else 2.0)
        try:
            p = float(power)
        except ValueError:
            p = math.nan
        if not (math.isfinite(p) and p >= 1):
            raise UsageError(
                f"similarity {text!r} has no power: expected a finite number of 1 or more after lp:",
                "type for example similarity=lp:3",
            )
        return cls(name, p)

    def goes_with(self, law: Law) -> bool:
        """Whether exp(scale * similarity) can be the law's density, up to what normalises it, on any space.

        On the unit sphere ``dot`` and ``sqeuclidean`` say the same; that is for the sphere to know.
        """
        if law.name is LawName.VMF:
            return self.name == "dot" and law.kappa > 0
        return self.name != "dot" and self.p == law.exponent
