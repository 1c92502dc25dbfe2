"""Products of geometries: a latent whose parts live in spaces of their own. Refuses parts whose losses differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError, UsageError
from lpcm.geometries.extents import Extent
from lpcm.geometries.factors import Part, built, parts_of, per_part
from lpcm.keys import Key
from lpcm.plugin.contracts import Geometry

if TYPE_CHECKING:
    import torch

_FROM_STRONG_TO_WEAK = ("permutation", "orthogonal", "linear", "nothing")


class Product:
    """Z_1 x ... x Z_k: each part has its own marginal and conditional, independent of the others.

    The exponent of the loss is the sum over all coordinates. So is the logarithm of the product's conditional, if the
    parts have one similarity and one matched scale; then the parts' theorems hold for the whole. With scales that
    differ, an optimum must stretch the parts differently, which only heads of learnt extent can.

    Args:
        dim: d, the sum of the parts' widths.
        factors: names joined by ``+``, each with its width after a colon, ``sphere:3+sphere:2``; parts without a
            width share the rest of ``dim`` evenly.
        marginal: a law for all parts, or one for each, joined by ``+``; ``None`` for the parts' own defaults.
        conditional: likewise.
        similarity: of the loss, for all; ``None`` for the one of the conditionals, which must agree.

    Attributes:
        factors: the parts.
        similarity, p: what all parts use.
        identifies: the weakest that a part has; with scales that differ ``"linear"`` for ``"orthogonal"``, and
            ``"nothing"`` where a head cannot stretch.

    Raises:
        UsageError: for widths that do not add up, unknown parts, parts that use different similarities.

    Source: for equal scales as in arXiv 2402.06223, theorems 4.1 and 4.3: optima keep the similarity of the whole.

    Example:
        >>> space = Product(5, factors="sphere:3+sphere:2", conditional="vmf:10")
        >>> space.similarity, space.identifies
        ('dot', 'orthogonal')
        >>> space.sample_marginal(Key.of(0), 7).shape
        (7, 5)
    """

    def __init__(
        self,
        dim: int,
        *,
        factors: str = "sphere+sphere",
        marginal: str | None = None,
        conditional: str | None = None,
        similarity: str | None = None,
    ) -> None:
        parts = parts_of(factors, dim)
        laws = {
            "marginal": per_part("marginal", marginal, parts),
            "conditional": per_part("conditional", conditional, parts),
            "similarity": [similarity] * len(parts),
        }
        self.dim = dim
        self.factors: tuple[Geometry, ...] = tuple(
            built(part, {setting: texts[i] for setting, texts in laws.items() if texts[i] is not None})
            for i, part in enumerate(parts)
        )
        self.similarity, self.p = _one_similarity(parts, self.factors)
        self.identifies = _identified(self.factors)

    @property
    def matched_scale(self) -> float | None:
        """The scale at which the loss's model is the conditional; ``None`` where the parts have none in common."""
        scales = _scales(self.factors)
        return scales[0] if _all_equal(scales) else None

    def sample_marginal(self, key: Key, n: int) -> NDArray[np.float64]:
        """Draw n points, (n, d)."""
        return np.concatenate(
            [part.sample_marginal(key.fold("part", i), n) for i, part in enumerate(self.factors)], axis=1
        )

    def sample_conditional(self, key: Key, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Draw one partner of each row of z, (n, d) -> (n, d).

        Raises:
            DataError: when a part of a row is not in its space.
        """
        columns = enumerate(zip(self.factors, self._columns(z), strict=True))
        return np.concatenate(
            [part.sample_conditional(key.fold("part", i), own) for i, (part, own) in columns], axis=1
        )

    def project(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """The nearest point, part by part, (n, d) -> (n, d)."""
        columns = zip(self.factors, self._columns(z), strict=True)
        return np.concatenate([part.project(own) for part, own in columns], axis=1)

    def head(self, d_in: int) -> torch.nn.Module:
        """Make a module (n, d_in) -> (n, d): a linear map where the widths differ, then each part's head."""
        from lpcm.geometries.heads import ProductHead

        dims = [part.dim for part in self.factors]
        return ProductHead(d_in, [part.head(part.dim) for part in self.factors], dims)

    def _columns(self, z: NDArray[np.float64]) -> Sequence[NDArray[np.float64]]:
        z = np.asarray(z, dtype=np.float64)
        if z.ndim != 2 or z.shape[1] != self.dim:
            raise DataError(f"points have shape {z.shape}: expected (n, {self.dim})")
        return np.split(z, np.cumsum([part.dim for part in self.factors])[:-1], axis=1)


def _one_similarity(parts: Sequence[Part], factors: Sequence[Geometry]) -> tuple[str, float]:
    used = [(factor.similarity, float(getattr(factor, "p", 2.0))) for factor in factors]
    if len(set(used)) > 1:
        said = ", ".join(
            f"{part.name} {name} (p = {p:g})" if name == "lp" else f"{part.name} {name}"
            for part, (name, p) in zip(parts, used, strict=True)
        )
        raise UsageError(
            f"the parts of the product use different similarities: {said}; one loss has one",
            "give conditionals that go together, or similarity=... for all",
        )
    return used[0]


def _identified(factors: Sequence[Geometry]) -> str:
    weakest = max((factor.identifies for factor in factors), key=_FROM_STRONG_TO_WEAK.index)
    scales = _scales(factors)
    if weakest == "nothing" or None in scales:
        return "nothing"
    if _all_equal(scales):
        return weakest
    if not all(getattr(factor, "extent", None) is Extent.LEARNED for factor in factors):
        return "nothing"
    return "permutation" if weakest == "permutation" else "linear"


def _scales(factors: Sequence[Geometry]) -> list[float | None]:
    return [getattr(factor, "matched_scale", None) for factor in factors]


def _all_equal(scales: Sequence[float | None]) -> bool:
    first = scales[0]
    # 1e-9: numbers that a user typed, through a power or a division.
    return first is not None and all(s is not None and math.isclose(s, first, rel_tol=1e-9) for s in scales)
