"""The two laws of an angle. Refuses anything else."""

from __future__ import annotations

import math

from lpcm.errors import UsageError


def concentration(role: str, text: str) -> float:
    """Read ``uniform`` or ``vonmises:KAPPA``: density exp(kappa cos(angle)), kappa 0 or more.

    Args:
        role: ``"marginal"`` or ``"conditional"``, for the error.
        text: the law.

    Raises:
        UsageError: when the text is neither, or kappa is negative or not finite.

    Example:
        >>> concentration("conditional", "vonmises:5")
        5.0
    """
    name, _, number = text.partition(":")
    if text == "uniform":
        return 0.0
    try:
        kappa = float(number)
    except ValueError:
        kappa = math.nan
    if name != "vonmises" or not (math.isfinite(kappa) and kappa >= 0):
        raise UsageError(
            f"a torus has no {role} {text!r}: expected uniform, or vonmises:KAPPA with KAPPA finite, 0 or more",
            f"type for example {role}=vonmises:5",
        )
    return kappa
