"""Class prompts as they look behind a disentangler, and the text tower with them. Refuses maps that are not affine.

An adapter that learns prompts needs the map's gradient. A linear disentangler has it in two arrays,

    s = (t - mean) components' ,

so the tower can be followed by that; another kind is refused when it is asked for, with the reason. Torch is
imported only then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

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
    """

    def __init__(
        self, tower: PromptTuner, mean: NDArray[np.floating], components: NDArray[np.floating]
    ) -> None:
        import torch

        self._tower = tower
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
        mapped = (features.double() - self._mean) @ self._turn
        return torch.nn.functional.normalize(mapped, dim=1).float()


def in_space(prompts: TextPrompts, disentangler: Disentangler) -> TextPrompts:
    """See class prompts, and the tuner of their tower, through a fitted disentangler.

    Args:
        prompts: (c, d) class vectors as the encoder gives them.
        disentangler: fitted on features of width d.

    Returns:
        (c, k) class vectors, not made unit again, and a tuner that raises ``UsageError`` when it is asked for
        behind a disentangler that is not affine.
    """
    features = disentangler.transform(prompts.features)
    tuner = (
        None if prompts.tuner is None else _mapped(prompts.tuner, disentangler, prompts.features, features)
    )
    return TextPrompts(features, prompts.classes, tuner)


def _mapped(
    make: MakeTuner,
    disentangler: Disentangler,
    before: NDArray[np.float32],
    after: NDArray[np.float32],
) -> MakeTuner:
    def made() -> PromptTuner:
        if before.shape == after.shape and np.array_equal(before, after):
            return make()
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
        return MappedTuner(make(), mean, components)

    return made
