"""The contrastive loss of a geometry, and whether it sees axes. Refuses to know a geometry by name."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, cast

import torch

import lpcm
from lpcm.plugin.contracts import Geometry

if TYPE_CHECKING:
    from lpcm.loss.problem import Similarity


class Reduction(str, Enum):
    """Whether each pair's loss is asked for, or their mean."""

    MEAN = "mean"
    NONE = "none"


def space_loss(
    space: Geometry,
    x: torch.Tensor,
    t: torch.Tensor,
    scale: torch.Tensor,
    reduction: Reduction = Reduction.MEAN,
) -> torch.Tensor:
    """Symmetric InfoNCE with the space's similarity, (n, k) and (n, k) -> scalar or (n,), in nats."""
    similarity = cast("Similarity", space.similarity)
    return lpcm.contrastive_loss(
        x, t, scale, similarity=similarity, power=power_of(space), reduction=reduction.value
    )


def power_of(space: Geometry) -> float:
    """Power of the space's distance; 2 where it says none."""
    return float(getattr(space, "p", 2.0))


def sees_axes(space: Geometry) -> bool:
    """Whether rotating the codes changes the loss: of the powers of a distance only 2 does not notice."""
    return space.similarity != "dot" and power_of(space) != 2
