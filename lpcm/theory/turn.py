"""The linear map between exploring and refining: sought by the loss itself from random rotations.

For a loss that sees axes (a power other than 2) the map is trained, on what the MLPs give, from several rotations, and
the one of lowest loss is kept: among rotations of known latents the L1 loss has few bad optima, while a network that
learns everything at once is caught by them. For a loss that is blind to rotations the map is one random rotation.
Refuses to look at a latent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from lpcm.disentanglers.haar import haar
from lpcm.keys import Key
from lpcm.plugin.contracts import Geometry
from lpcm.theory.objective import sees_axes, space_loss
from lpcm.theory.recipe import Recipe

_BATCH = 512
_FLOOR = 1e-4  # of a variance, relative to the largest: codes beyond the latents must not become all noise
_LR = 0.06
_GAIN = 1.2  # standard deviation before a head, at the start: a uniform latent then fills a sigmoid from 0.11 to 0.89


@dataclass(frozen=True, eq=False)
class Turn:
    """What was found.

    Args:
        weight, bias: (k, k) and (k,), y -> y weight^T + bias.
        head: state of the head that was trained with it.
        log_scale: of the logits.
        losses: of each start, on pairs that none was trained on.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    head: Mapping[str, torch.Tensor]
    log_scale: float
    losses: tuple[float, ...]


def turned(
    x: torch.Tensor, t: torch.Tensor, space: Geometry, recipe: Recipe, scale: float, learned: bool, key: Key
) -> Turn:
    """Find the map.

    Args:
        x: (n, k) float32, what the image side's MLP gives for n pairs; a half is trained on, the other judges.
        t: (n, k) float32, the text side's.
        space: whose head and similarity count.
        recipe: how many starts, of how many steps.
        scale: of the logits, at the start.
        learned: whether the scale moves.
        key: where randomness comes from.
    """
    mean = x.double().mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(x.double().T).reshape(space.dim, space.dim))
    whiten = (vectors * values.clamp_min(values[-1] * _FLOOR).rsqrt()) @ vectors.T
    x, t = (((side.double() - mean) @ whiten).float() for side in (x, t))
    best: Turn | None = None
    losses = []
    for start in range(recipe.restarts if sees_axes(space) else 1):
        steps = recipe.turn_steps if sees_axes(space) else 0
        candidate = _from(steps, x, t, space, scale, learned, key.fold("start", start))
        losses.append(candidate.losses[0])
        if best is None or candidate.losses[0] < best.losses[0]:
            best = candidate
    assert best is not None  # there is at least one start
    weight = best.weight @ whiten.float()
    return Turn(weight, best.bias - weight @ mean.float(), best.head, best.log_scale, tuple(losses))


def _from(
    steps: int,
    x: torch.Tensor,
    t: torch.Tensor,
    space: Geometry,
    scale: float,
    learned: bool,
    key: Key,
) -> Turn:
    """Train from one rotation."""
    weight = nn.Parameter(_GAIN * torch.from_numpy(haar(space.dim, key.generator())).float())
    bias = nn.Parameter(torch.zeros(space.dim))
    log_scale = nn.Parameter(torch.tensor(math.log(scale)), learned)
    head = space.head(space.dim)
    half = len(x) // 2

    def loss(rows: torch.Tensor | slice) -> torch.Tensor:
        return space_loss(
            space, head(x[rows] @ weight.T + bias), head(t[rows] @ weight.T + bias), log_scale.exp()
        )

    optimiser = torch.optim.AdamW([weight, bias, log_scale, *head.parameters()], lr=_LR, weight_decay=0.0)
    batches = key.fold("batches").generator()
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = _LR * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimiser.zero_grad(set_to_none=True)
        loss(torch.from_numpy(batches.integers(0, half, min(_BATCH, half)))).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():
        judged = float(loss(slice(half, half + 8 * _BATCH)))
    state = {name: tensor.detach().clone() for name, tensor in head.state_dict().items()}
    return Turn(weight.detach(), bias.detach(), state, float(log_scale.detach()), (judged,))
