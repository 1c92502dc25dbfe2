"""Class prompts as they look behind a disentangler, and the text tower with them. Refuses maps that are not affine.

An adapter that learns prompts needs the map's gradient. A linear disentangler has it in two arrays,

    s = (t - mean) components' ,

so the tower can be followed by that; another kind is refused when it is asked for, with the reason. Torch is
imported only then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import UsageError
from lpcm.plugin.contracts import Disentangler, TextPrompts
from lpcm.plugin.tuner import MakeTuner, PromptTuner

if TYPE_CHECKING:
    import torch

TOLERANCE = 1e-4
"""Largest distance of the two arrays from ``transform`` over the largest component: both are float32 at the end."""


class MappedTuner:
    """A text tower followed by an affine map; see ``lpcm.plugin.tuner.PromptTuner``.

    Args:
        tower: what is mapped.
        mean: (d,).
        components: (k, d).
        length: what the tower's unit vectors are multiplied by before they are mapped.
    """

    def __init__(
        self,
        tower: PromptTuner,
        mean: NDArray[np.floating],
        components: NDArray[np.floating],
        length: float = 1.0,
    ) -> None:
        import torch

        self._tower = tower
        self._length = length
        self.width, self.device = tower.width, tower.device
        # float64, as the disentangler itself computes: small components are differences of large numbers.
        self._mean = torch.from_numpy(np.asarray(mean, np.float64)).to(self.device)
        self._turn = torch.from_numpy(np.asarray(components, np.float64).T.copy()).to(self.device)

    def context_of(self, phrase: str) -> torch.Tensor:
        """Token embeddings of a phrase: (m, w)."""
        return self._tower.context_of(phrase)

    def encode(
        self,
        context: torch.Tensor,
        names: Sequence[str],
        *,
        before: int | None = None,
        ending: str = ".",
    ) -> torch.Tensor:
        """(m, w) or (c, m, w) context and c names -> (c, k) unit vectors in the space of the disentangler."""
        import torch

        features = self._tower.encode(context, names, before=before, ending=ending)
        mapped = (self._length * features.double() - self._mean) @ self._turn
        return torch.nn.functional.normalize(mapped, dim=1).float()


@overload
def in_space(
    prompts: TextPrompts, disentangler: Disentangler, like: NDArray[np.float32] | None = None
) -> TextPrompts: ...
@overload
def in_space(
    prompts: TextPrompts | None, disentangler: Disentangler, like: NDArray[np.float32] | None = None
) -> TextPrompts | None: ...
def in_space(
    prompts: TextPrompts | None, disentangler: Disentangler, like: NDArray[np.float32] | None = None
) -> TextPrompts | None:
    """See class prompts, and the tuner of their tower, through a fitted disentangler.

    Args:
        prompts: (c, d) class vectors as the encoder gives them, of length 1; ``None``, of one that reads no text,
            stays ``None``.
        disentangler: fitted on features of width d.
        like: (n, d) the rows that it was fitted on. Encoders whose image features are not of length 1 have their
            prompts made as long as those are on average: the disentangler takes off a mean of that size.

    Returns:
        (c, k) class vectors, not made unit again, and a tuner that raises ``UsageError`` when it is asked for
        behind a disentangler that is not affine. The prompts themselves where the disentangler changes nothing.
    """
    if prompts is None or np.array_equal(disentangler.transform(prompts.features), prompts.features):
        return prompts
    length = 1.0 if like is None else float(np.linalg.norm(like.astype(np.float64), axis=1).mean())
    before = (length * prompts.features).astype(np.float32)
    after = disentangler.transform(before)
    tuner = None if prompts.tuner is None else _mapped(prompts.tuner, disentangler, before, after, length)
    return TextPrompts(after, prompts.classes, tuner)


def _mapped(
    make: MakeTuner,
    disentangler: Disentangler,
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    length: float,
) -> MakeTuner:
    def made() -> PromptTuner:
        mean, components = getattr(disentangler, "mean_", None), getattr(disentangler, "components_", None)
        kind = type(disentangler).__name__
        hint = "use a linear disentangler (none, pca, whiten, rotation, ica, pca-ica), or another adapter"
        if mean is None or components is None:
            raise UsageError(
                f"prompts cannot be learnt behind {kind}: without mean_ and components_ its gradient is not known",
                hint,
            )
        affine = (before.astype(np.float64) - mean) @ np.asarray(components, np.float64).T
        off = float(np.abs(affine - after).max())
        if off > TOLERANCE * max(float(np.abs(after).max()), 1e-12):
            raise UsageError(
                f"prompts cannot be learnt behind {kind}: its transform differs from (x - mean_) components_' by"
                f" {off:.2g}, so it is not linear",
                hint,
            )
        return MappedTuner(make(), mean, components, length)

    return made
