"""EfficientNet and MiniLM as modules that can be trained. Refuse to share weights with what they are copied from."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from lpcm.plugin.trainable import TrainableTower
from lpcm_lite.encoders.image_tower import ImageTower, pooled
from lpcm_lite.encoders.text_tower import TextTower


def image_tower(tower: ImageTower) -> TrainableTower:
    """EfficientNet-Lite0 up to its pooled features, (n, 3, 224, 224) -> (n, 1280)."""
    return TrainableTower(_Pooled(tower))


def text_tower(tower: TextTower) -> TrainableTower:
    """MiniLM, its tokens' mean and unit norm, (n, length) ids -> (n, 384)."""
    module = _MeanOfTokens(tower.model)
    tokenizer, length = tower.model.tokenizer, tower.model.max_seq_length

    def tokenise(texts: Sequence[str]) -> torch.Tensor:
        ids: torch.Tensor = tokenizer(
            list(texts), padding=True, truncation=True, max_length=length, return_tensors="pt"
        )["input_ids"]
        return ids

    return TrainableTower(module, tokenise)


class _Pooled(nn.Module):
    def __init__(self, tower: ImageTower) -> None:
        super().__init__()
        self.network: Any = deepcopy(tower.network).eval().requires_grad_(True)
        del self.network._fc  # of ImageNet's classes: no part of the features

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        weight = next(self.network.parameters())
        return pooled(self.network, images.to(weight.device, weight.dtype))


class _MeanOfTokens(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.bert: Any = deepcopy(model[0].auto_model).eval().requires_grad_(True)
        if getattr(self.bert, "pooler", None) is not None:
            self.bert.pooler = None  # a layer on the first token, which the mean does not read
        self._padding = int(model.tokenizer.pad_token_id)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        ids = ids.to(self.bert.get_input_embeddings().weight.device)
        mask = ids != self._padding
        longest = int(mask.sum(1).max())  # the rest is padding, which costs time alone
        ids, mask = ids[:, :longest], mask[:, :longest]
        answers = self.bert(input_ids=ids, attention_mask=mask.long()).last_hidden_state.float()
        # The mean over tokens and the sum over them have one direction.
        return nn.functional.normalize((answers * mask[:, :, None]).sum(1), dim=1)
