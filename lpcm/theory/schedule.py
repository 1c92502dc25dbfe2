"""Optimisers and their rates over a training. Refuses to keep state that a checkpoint does not hold."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from lpcm.theory.encoder import Encoder
from lpcm.theory.recipe import Optimiser, Recipe


def optimisers_of(
    recipe: Recipe, encoders: Sequence[Encoder], scales: Sequence[nn.Parameter]
) -> list[tuple[torch.optim.Optimizer, float]]:
    """New optimisers of all that can be trained, each with its highest rate."""
    hidden = [weight for encoder in encoders for weight in encoder.matrices()]
    parameters = [parameter for encoder in encoders for parameter in encoder.parameters()] + list(scales)
    found: list[tuple[torch.optim.Optimizer, float]] = []
    if recipe.optimiser is Optimiser.MUON:
        taken = {id(parameter) for parameter in hidden}
        parameters = [parameter for parameter in parameters if id(parameter) not in taken]
        found.append((torch.optim.Muon(hidden, lr=recipe.muon_lr, weight_decay=0.0), recipe.muon_lr))
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    found.append((torch.optim.AdamW(trainable, lr=recipe.lr, weight_decay=0.0, fused=True), recipe.lr))
    return found


def schedule(step: int, length: int, warm_up: int) -> float:
    """Share of the highest rate: a straight rise, then a half cosine to 0."""
    rise = min(1.0, (step + 1) / max(1, min(warm_up, length // 4)))
    return rise * 0.5 * (1 + math.cos(math.pi * step / length))


def step_all(
    optimisers: Sequence[tuple[torch.optim.Optimizer, float]], loss: torch.Tensor, factor: float
) -> None:
    """One step of all of them at a share of their highest rates."""
    for optimiser, lr in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = lr * factor
        optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    for optimiser, _ in optimisers:
        optimiser.step()
