"""What an encoder of the same shape reaches when it is shown the latents: the ceiling of a recipe, not of theory."""

from __future__ import annotations

import math

import torch
from torch import nn

from lpcm.errors import DataError
from lpcm.geometries.heads import FreeHead
from lpcm.keys import Key
from lpcm.theory.encoder import FIT_ENTRY, Encoder, Whitening
from lpcm.theory.generative import GenerativeModel
from lpcm.theory.recipe import Entry, Recipe
from lpcm.theory.schedule import optimisers_of, schedule, step_all


def supervised(model: GenerativeModel, recipe: Recipe, key: Key) -> Encoder:
    """Train one encoder of images on squared error to the true latents.

    Args:
        model: where pairs come from.
        recipe: shape, rates and steps, as for a pair; a batch is one block.
        key: where randomness comes from.
    """
    d = model.geometry.dim
    entry: nn.Module = nn.Identity()
    if recipe.entry is Entry.WHITENED:
        entry = Whitening(model.draw(key.fold("entry"), FIT_ENTRY).x)
    encoder = Encoder(entry, model.image.d, d, recipe.shape, FreeHead(d, d), key.fold("weights"))
    optimisers = optimisers_of(recipe, (encoder,), ())
    steps, batch = recipe.steps, recipe.block or recipe.batch  # what it is shown is not faint
    for step in range(steps):
        pairs = model.draw(key.fold("supervised", step), batch)
        with torch.autocast("cpu", torch.bfloat16, enabled=step < recipe.coarse * steps):
            codes = encoder.trunk(torch.from_numpy(pairs.x))
        loss = nn.functional.mse_loss(codes, torch.from_numpy(pairs.z_x).float())
        step_all(optimisers, loss, 1.0 if recipe.constant else schedule(step, steps, recipe.warm_up))
    if not math.isfinite(float(loss.detach())):
        raise DataError("the supervised baseline diverged", "take a lower learning rate, or baselines=false")
    return encoder
