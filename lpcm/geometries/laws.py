"""Laws as data: how latents and partners are distributed, read from texts such as ``laplace:0.1``.

Refuses to draw, and to know which space has which law: that is for the spaces to say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from lpcm.errors import UsageError, nearest


class LawName(str, Enum):
    """The laws, by the word that a text begins with."""

    UNIFORM = "uniform"
    VMF = "vmf"
    LAPLACE = "laplace"
    NORMAL = "normal"
    GENNORM = "gennorm"


# The laws that fall off with a power of each coordinate's distance.
POWER_LAWS = (LawName.LAPLACE, LawName.NORMAL, LawName.GENNORM)

# What follows a law's name, each after a colon.
_NUMBERS = {
    LawName.UNIFORM: (),
    LawName.VMF: ("kappa",),
    LawName.LAPLACE: ("b",),
    LawName.NORMAL: ("s",),
    LawName.GENNORM: ("s", "p"),
}
_EXAMPLES = {
    LawName.UNIFORM: "uniform",
    LawName.VMF: "vmf:10",
    LawName.LAPLACE: "laplace:0.1",
    LawName.NORMAL: "normal:0.05",
    LawName.GENNORM: "gennorm:0.1:3",
}


@dataclass(frozen=True)
class Law:
    """A law around a point: with u the difference of a coordinate from it,

    - ``uniform``: the same density everywhere in the space;
    - ``vmf:kappa``: exp(kappa z . z') on the sphere;
    - ``laplace:b``: exp(-|u| / b) for each coordinate;
    - ``normal:s``: exp(-u^2 / (2 s^2));
    - ``gennorm:s:p``: exp(-(|u| / s)^p).

    What the space cuts off or bends is the space's part.

    Args:
        name: which of them.
        numbers: kappa; b; s; or s and p. Checked: kappa >= 0, b and s > 0, p >= 1, all finite.

    Raises:
        UsageError: for numbers that no density has.

    Example:
        >>> law = Law.parse("normal:0.5")
        >>> law.scale, law.exponent, law.radius == 0.5 * 2**0.5, law.matched_scale
        (0.5, 2.0, True, 2.0)
        >>> str(law)
        'normal:0.5'
    """  # noqa: D400, D415  (the sentence ends after the list)

    name: LawName
    numbers: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        wanted = _NUMBERS[self.name]
        if len(self.numbers) != len(wanted):
            form = ":".join((self.name.value, *wanted))
            raise UsageError(
                f"law {str(self)!r} has {len(self.numbers)} of the {len(wanted)} numbers of {form!r}",
                f"type for example {_EXAMPLES[self.name]}",
            )
        for symbol, number in zip(wanted, self.numbers, strict=True):
            low, expected = _RANGES[symbol]
            if not (math.isfinite(number) and (number >= low if symbol in ("kappa", "p") else number > low)):
                raise UsageError(
                    f"law {str(self)!r} has {symbol} = {number:g}: expected {expected}",
                    f"type for example {_EXAMPLES[self.name]}",
                )

    @classmethod
    def parse(cls, text: str) -> Law:
        """Read ``name:number:number``.

        Raises:
            UsageError: when there is no such law, or its numbers are missing, too many or impossible.
        """
        if not isinstance(text, str):
            raise UsageError(f"a law is {text!r}: expected a text", "type for example laplace:0.1")
        head, *rest = text.strip().split(":")
        names = [name.value for name in LawName]
        if head not in names:
            raise UsageError(
                f"law {text!r} is unknown: expected one of {', '.join(names)}",
                nearest(head, names) or "type for example laplace:0.1",
            )
        try:
            numbers = tuple(float(part) for part in rest)
        except ValueError:
            raise UsageError(
                f"law {text!r} has something else than numbers after {head!r}",
                f"type for example {_EXAMPLES[LawName(head)]}",
            ) from None
        return cls(LawName(head), numbers)

    def __str__(self) -> str:
        return ":".join((self.name.value, *(repr(number).removesuffix(".0") for number in self.numbers)))

    @property
    def kappa(self) -> float:
        """Concentration of ``vmf``."""
        if self.name is not LawName.VMF:
            raise AttributeError(f"{self} has no kappa")
        return self.numbers[0]

    @property
    def scale(self) -> float:
        """The b of ``laplace``, s of ``normal`` and ``gennorm``: in units of the space."""
        self._is_power_law("scale")
        return self.numbers[0]

    @property
    def exponent(self) -> float:
        """The power p of a coordinate's distance: 1 for ``laplace``, 2 for ``normal``."""
        self._is_power_law("exponent")
        return {LawName.LAPLACE: 1.0, LawName.NORMAL: 2.0}.get(self.name) or self.numbers[1]

    @property
    def radius(self) -> float:
        """The distance a at which a coordinate's density has fallen by e: exp(-(|u| / a)^p)."""
        return self.scale * math.sqrt(2) if self.name is LawName.NORMAL else self.scale

    @property
    def matched_scale(self) -> float:
        """The scale (inverse temperature) at which the loss's model, exp(scale * similarity), is this law.

        It belongs to an encoder that keeps distances: with the similarity that goes with the law, kappa for ``vmf``,
        else 1 / a^p with a the radius.
        """
        if self.name is LawName.VMF:
            return self.kappa
        return 1 / (2 * self.scale**2) if self.name is LawName.NORMAL else self.scale**-self.exponent

    def _is_power_law(self, attribute: str) -> None:
        if self.name not in POWER_LAWS:
            raise AttributeError(f"{self} has no {attribute}")


_RANGES = {
    "kappa": (0.0, "a finite number of 0 or more"),
    "b": (0.0, "a finite number above 0"),
    "s": (0.0, "a finite number above 0"),
    "p": (1.0, "a finite number of 1 or more"),
}


def law_of(space: str, role: str, text: str, allowed: Sequence[LawName]) -> Law:
    """Read a law that a space must have.

    Args:
        space: how the space is called, for the error.
        role: ``"marginal"`` or ``"conditional"``.
        text: the law.
        allowed: the laws that the space has in this role.

    Raises:
        UsageError: when the law cannot be read, or the space has none of it.
    """
    law = Law.parse(text)
    if law.name not in allowed:
        raise UsageError(
            f"a {space} has no {role} {text!r}: expected one of {', '.join(name.value for name in allowed)}",
            f"type for example {role}={_EXAMPLES[allowed[0]]}",
        )
    return law
