"""Towers of open_clip's models as modules of their own, for training. Refuses to share weights with the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from lpcm.plugin.records import Modality
from lpcm.plugin.trainable import TrainableTower

_IMAGES = frozenset({"visual"})
_OF_BOTH = frozenset({"logit_scale", "logit_bias", "text_decoder"})  # CoCa's decoder gives no features


def trainable_tower(
    model: Any,
    modality: Modality,
    tokenizer: Callable[[list[str]], torch.Tensor] | None,
    dtype: torch.dtype = torch.float32,
) -> TrainableTower:
    """One tower of a model, a copy.

    Args:
        model: as ``open_clip.create_model`` gives it.
        modality: which tower.
        tokenizer: of its texts; needed for that tower.
        dtype: in which the model wants its pixels.
    """
    tower = _Tower(model, modality, dtype)
    softmax = getattr(model, "logit_bias", None) is None  # SigLIP's scale belongs to another loss
    temperature = 1 / float(model.logit_scale.detach().float().exp()) if softmax else None
    if tokenizer is None:
        return TrainableTower(tower, temperature=temperature)

    def tokenise(texts: Sequence[str]) -> torch.Tensor:
        return tokenizer(list(texts))

    return TrainableTower(tower, tokenise, temperature)


class _Tower(nn.Module):
    """A model without its other tower: pixels (n, 3, size, size) or tokens (n, length) -> (n, d) float32."""

    def __init__(self, model: Any, modality: Modality, dtype: torch.dtype) -> None:
        super().__init__()
        self._modality, self._dtype = modality, dtype
        part = deepcopy(model)
        for name in [*dict(part.named_children()), *dict(part.named_parameters(recurse=False))]:
            if name in _OF_BOTH or (name in _IMAGES) is not (modality is Modality.IMAGE):
                delattr(part, name)
        self.model = part.eval().requires_grad_(True)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        device = next(self.model.parameters()).device
        if self._modality is Modality.IMAGE:
            features: torch.Tensor = self.model.encode_image(inputs.to(device, self._dtype))
        else:
            features = self.model.encode_text(inputs.to(device))
        return features.float()
