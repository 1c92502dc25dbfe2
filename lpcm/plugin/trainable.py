"""Contract of an encoder whose towers can be trained. Imports no torch.

``lpcm-train --train-towers`` asks for a tower, trains its weights and keeps them; the encoder ``run:PATH`` asks for the
tower again and puts them back. An encoder that can do so says which sides in its record, as ``trains``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from lpcm.plugin.records import Modality

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class TrainableTower:
    """One tower of an encoder as a torch module.

    Args:
        module: inputs -> (n, d) float32, at first the features that ``encode_images`` or ``encode_texts`` gives. It
            is in evaluation mode and stays so, since a row may not depend on its batch and nothing may be drawn.
            Weights that require a gradient are trained; ``state_dict`` is what is kept.
        tokenise: n texts -> (n, ...) tensor of the module's inputs, for the tower of texts. That of images reads
            preprocessed images, (n, 3, size, size) float32.
        temperature: of the contrastive loss that both towers were trained by; ``None`` where there was none.
    """

    module: torch.nn.Module
    tokenise: Callable[[Sequence[str]], torch.Tensor] | None = None
    temperature: float | None = None


@runtime_checkable
class Trainable(Protocol):
    """An encoder whose towers can be trained."""

    def trainable(self, modality: Modality) -> TrainableTower:
        """A copy of one tower that shares its weights with nothing. Loads weights.

        Raises ``UsageError`` that says why where a tower cannot be trained.
        """
        ...
